// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    /// Calls with two mistakes: which of them the kernel tells is the order of docs/semantics/mprog.md, section 4.
    static let errorOrder: [Row] = [
        Row("M-024.anchor", "a double program is noticed before a bad anchor", [.p(1)], refused: .EEXIST) {
            try $0.attach(1, .before, .raw(9999))
        },
        Row("M-025.both", "an absent anchor is noticed before BEFORE|AFTER", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, [.before, .after], .fd(3))
        },
        Row("M-047.link", "a link's stale revision is noticed before a bad anchor", [.l(1)], refused: .ESTALE) {
            try $0.link(2, [.before, .link], .raw(9999), revision: 1)
        },
        Row("M-053.both", "REPLACE with BEFORE and AFTER is refused", three, refused: .ERANGE) {
            try $0.attach(4, [.replace, .before, .after], .fd(2), replace: $0.programs.fd(1))
        },
        Row(
            "M-054.stale", "a stale revision is noticed before REPLACE of a program by itself", [.p(1)],
            refused: .ESTALE
        ) { try $0.attach(1, .replace, replace: $0.programs.fd(1), revision: 1) },
        Row("M-055.anchor", "a bad anchor is noticed before an absent program to replace", [.p(1)], refused: .EBADF) {
            try $0.attach(3, [.replace, .before], .raw(9999), replace: $0.programs.fd(2))
        },
        Row("M-056.stale", "a bad program to replace is noticed before a stale revision", [.p(1)]) { list in
            try list.expect(
                try list.attach(2, .replace, replace: 9999, revision: 1), refused: .EBADF, "not open", leaving: [.p(1)])
            try list.expect(
                try list.attach(2, .replace, replace: list.programs.someMap, revision: 1), refused: .EINVAL, "a map",
                leaving: [.p(1)])
        },
        Row("M-058.anchor", "a link's program to replace is noticed before an absent anchor", [.l(1)], refused: .EBUSY)
        {
            try $0.attach(2, [.replace, .before], .fd(3), replace: $0.programs.fd(1))
        },
        Row("M-065.anchor", "a bad anchor is noticed before a full list, an absent one is not", slots(63)) { list in
            try list.expect(
                try list.attach(64, .before, .raw(9999)), refused: .EBADF, "BEFORE what is not open",
                leaving: slots(63))
            try list.expect(
                try list.attach(64, .before, .fd(64)), refused: .ERANGE, "BEFORE an absent program", leaving: slots(63))
        },
        Row("M-071.anchor", "an empty list is noticed before a bad anchor", on: Flavour.tcx) { list in
            try list.addClsact()
            for revision: UInt64 in [0, 1] {
                try list.expect(
                    try list.detach(1, .before, .raw(9999), revision: revision), refused: .ENOENT,
                    "detach P1, revision \(revision)", leaving: [])
            }
        },
        Row("M-075.anchor", "a bad anchor is noticed before an absent program to detach", [.p(1)], refused: .EBADF) {
            try $0.detach(2, .before, .raw(9999))
        },
        Row("M-090.stale", "detach with REPLACE is refused before a stale revision is noticed", [.p(1)]) { list in
            for (number, revision) in [(1, 1), (nil, 1), (nil, 2)] as [(Int?, UInt64)] {
                try list.expect(
                    try list.detach(number, .replace, revision: revision), refused: .EINVAL, "revision \(revision)",
                    leaving: [.p(1)])
            }
        },
        Row("M-093.anchor", "a link's program to detach is noticed before an absent anchor", [.l(1)], refused: .EBUSY) {
            try $0.detach(1, .before, .fd(3))
        },
        Row("M-093.stale", "a stale revision is noticed before a link's program", [.l(1)], refused: .ESTALE) {
            try $0.detach(1, revision: 1)
        },
    ]
}
