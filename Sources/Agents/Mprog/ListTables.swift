// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// M-001 to M-101: what every list of bpf_mprog promises, a row for a promise.
enum ListTables {
    static let rows = attach + anchors + links + revisions + replace + full + detach

    /// Puts programs everywhere, replaces some and takes some out, and compares with what an array does, after every
    /// step.
    static func walk(_ list: ListTest) throws {
        var model: [Int] = []
        var revision: UInt64 = 1
        func step(_ answer: Errno?, _ call: String) throws {
            try list.test.require(success: answer, call)
            revision += 1
            try list.expect(query: model.map { .p($0) }, revision: model.isEmpty ? 1 : revision)
        }
        for number in 1...20 {
            let at = model.count * 2 / 3
            switch number % 5 {
            case 0:
                model.insert(number, at: 0)
                try step(try list.attach(number, .before), "P\(number) to the front")
            case 1:
                model.append(number)
                try step(try list.attach(number), "P\(number) to the end")
            case 2:
                let anchor = model[at]
                model.insert(number, at: at)
                try step(try list.attach(number, .before, .fd(anchor)), "P\(number) BEFORE P\(anchor)")
            case 3:
                let anchor = model[at]
                model.insert(number, at: at + 1)
                try step(try list.attach(number, [.after, .id], .id(anchor)), "P\(number) AFTER id of P\(anchor)")
            default:
                let old = model[at]
                model[at] = number
                try step(
                    try list.attach(number, .replace, replace: list.programs.fd(old)), "P\(number) replaces P\(old)")
            }
        }
        try list.expect(ran: model)
        while model.count > 6 {
            let gone = model.remove(at: model.count / 2)
            try step(try list.detach(gone), "P\(gone) is detached")
        }
        try list.expect(ran: model)
        while !model.isEmpty {
            let flags: AttachFlags = model.count % 2 == 0 ? .before : []
            if flags.isEmpty { model.removeLast() } else { model.removeFirst() }
            try step(try list.detach(nil, flags), "detach without a program, flags \(flags)")
        }
        try list.expect(list: [], revision: 1)
    }
}
