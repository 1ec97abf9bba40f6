// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    /// M-169 to M-172: who may call, and with how much of `union bpf_attr`.
    static let calls: [Row] = [
        Row("M-169", "whoever has a program's descriptor may attach it, without any capability", [.p(1)]) { list in
            let (ours, theirs) = try Channel.pair()
            let worker = try Worker { _ in
                ours.close()
                // Nobody's: what root may goes with it.
                guard setgid(65534) == 0, setuid(65534) == 0 else { return "setuid: \(Errno.last.name)" }
                let program = try theirs.receiveDescriptor()
                var answers = [
                    ("load", RawProgram.returning(-1, .schedCls).load(logSize: 0).errno),
                    ("query", list.target.query().errno),
                    ("attach", list.target.attach(program.raw, .before)),
                    ("detach without a program", list.target.detach(0)),
                    ("detach", list.target.detach(program.raw)),
                    ("attach again", list.target.attach(program.raw)),
                ]
                let second = try theirs.receiveDescriptor()
                let link = list.target.createLink(second.raw)
                answers.append(("link", link.errno))
                if case .success(let link) = link { try theirs.send(passing: [link.raw]) }
                return answers.map { "\($0.0) \($0.1?.name ?? "0")" }.joined(separator: ", ")
            }
            list.test.atEnd { worker.kill() }
            theirs.close()
            try ours.send(passing: [list.programs.fd(2)])
            try ours.send(passing: [list.programs.fd(3)])
            let said = try worker.finish()
            list.test.expect(
                said,
                equals:
                    "load EPERM, query EPERM, attach 0, detach without a program EPERM, detach 0, attach again 0, link 0",
                "what a process without capabilities was answered")
            // The link is on its way, and stays while its descriptor is.
            let link = try ours.receiveDescriptor()
            defer { link.close() }
            list.test.expect(
                try list.contents().programs, equals: [1, 2, 3].map { list.programs.id($0) }, "programs of the list")
            list.test.expect(try list.contents().revision, equals: 6, "revision")
            try list.expect(ran: [1, 2, 3])
        },
        Row("M-170", "an attr that ends before the revision expects none", [.p(1)]) { list in
            // 7 is wrong, and not told.
            list.test.expect(list.target.attach(list.programs.fd(2), revision: 7, size: 24), nil, "size 24, revision 7")
            try list.expect(list: [.p(1), .p(2)], revision: 3)
            list.test.expect(
                list.target.attach(list.programs.fd(3), size: 20), nil, "size 20, which ends before the anchor")
            try list.expect(list: [.p(1), .p(2), .p(3)], revision: 4)
            list.test.expect(
                list.target.attach(list.programs.fd(4), size: 16), nil, "size 16, which ends after the flags")
            try list.expect(list: [.p(1), .p(2), .p(3), .p(4)], revision: 5)
            // What is told of a field counts, the rest is 0.
            list.test.expect(
                list.target.attach(list.programs.fd(5), revision: 7, size: 25), .ESTALE, "size 25, revision 7")
            list.test.expect(
                list.target.attach(list.programs.fd(5), revision: 7 << 56 | 5, size: 31), nil,
                "size 31, revision 5 and more in the byte that is not told")
            try list.expect(list: [.p(1), .p(2), .p(3), .p(4), .p(5)], revision: 6)
        },
        Row("M-171", "an attr that is longer than the kernel's is taken if the rest is 0, up to a page", [.p(1)]) {
            list in
            for command: Attr.Command in [.progAttach, .progDetach, .progQuery] {
                for (size, mark): (Int, Int?) in [(512, 511), (4096, 4095), (4096, 1024), (4097, nil), (8192, nil)] {
                    var attr = request(list, 2, command, size: size)
                    if let mark { attr.set(UInt8(1), at: mark) }
                    list.test.expect(
                        attr.call(command).errno, .E2BIG,
                        "\(command), size \(size), \(mark.map { "1 at \($0)" } ?? "all 0")")
                }
            }
            try list.expect(list: [.p(1)], revision: 2)
            var attr = request(list, 2, .progAttach, size: 4096)
            list.test.expect(attr.call(.progAttach).errno, nil, "attach, size 4096, the rest 0")
            try list.expect(list: [.p(1), .p(2)], revision: 3)
        },
        Row("M-172", "what lies behind a command's last field must be 0", [.p(1)]) { list in
            for (command, last): (Attr.Command, Int) in [(.progAttach, 32), (.progDetach, 32), (.progQuery, 64)] {
                for mark in [last, last + 1, last + 15, 100, 127] {
                    var attr = request(list, command == .progAttach ? 2 : 1, command, size: 128)
                    attr.set(UInt8(1), at: mark)
                    list.test.expect(attr.call(command).errno, .EINVAL, "\(command), 1 at \(mark)")
                }
            }
            try list.expect(list: [.p(1)], revision: 2)
        },
    ]

    /// Pn to or from the list, or a query of its count.
    private static func request(_ list: ListTest, _ number: Int, _ command: Attr.Command, size: Int) -> Attr {
        var attr = Attr(size: size)
        attr.set(list.target.ifindex, at: 0)
        if command == .progQuery {
            attr.set(list.target.type.rawValue, at: 4)
        } else {
            attr.set(list.programs.fd(number), at: 4)
            attr.set(list.target.type.rawValue, at: 8)
        }
        return attr
    }
}
