// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// A program of tests-bpf/kfuncs/xattr.bpf.c, loaded with the name of an attribute and attached to what makes it run.
final class XattrProgram {
    let test: Test
    let object: BPFObject
    private let program: String
    private var attached: AttachedProgram?
    static let object = "kfuncs/xattr.bpf.o"

    /// - Parameters:
    ///   - name: of the attribute; a constant of the program.
    ///   - value: what the program is to set.
    ///   - room: bytes that the program offers or sets; more than 64: its dynptr is NULL.
    init(
        _ test: Test, _ program: String, name: String, value: String? = nil, room: UInt32? = nil, attach: Bool = true
    ) throws {
        self.test = test
        self.program = program
        object = try BPFObject(Self.object, programs: [program]) { object throws(LoadError) in
            let constant = unsafe try object.globals(".rodata.name")
            for (index, byte) in name.utf8.enumerated() { unsafe constant[index] = byte }
        }
        if let value {
            try object.setBytes(of: "value", to: Array(value.utf8))
            try object.set("room", to: UInt32(value.utf8.count))
        }
        if let room { try object.set("room", to: room) }
        try object.set("pid_wanted", to: getpid())
        if attach { attached = try object.attach(program) }
    }

    func detach() {
        attached = nil
    }

    /// Does something that the program must run for, once, and gives what the function returned to it.
    func result(of what: String, file: String = #fileID, line: Int = #line, _ action: () throws -> Void) throws -> Int32
    {
        let before = try object.value(of: "runs", as: Int32.self)
        try object.set("result", to: Int32.min)
        try action()
        test.expect(
            try object.value(of: "runs"), equals: before + 1, "runs of \(program) for \(what)", file: file, line: line)
        return try object.value(of: "result")
    }

    /// The same, as an errno.
    func errno(of what: String, file: String = #fileID, line: Int = #line, _ action: () throws -> Void) throws -> Errno?
    {
        let result = try result(of: what, file: file, line: line, action)
        return result < 0 ? Errno(rawValue: -result) : nil
    }

    /// The first bytes of what the program was given.
    func value(_ count: Int) throws -> String {
        String(decoding: try object.bytes(of: "value").prefix(count), as: UTF8.self)
    }
}

/// Things that make a program on a hook run.
enum XattrTrigger {
    static func open(_ path: String) throws {
        _ = FileHandle(try Descriptors.open(path, O_RDONLY))
    }

    /// What is asked for is not there: the hook comes first.
    static func getxattr(_ path: String) throws {
        _ = FileAttributes.value("user.trigger", of: path)
    }

    /// A UDP socket that is connected to a port of `lo`.
    static func connect(_ socket: CInt) throws {
        _ = try Errno.check(unsafe withLoopback { unsafe Glibc.connect(socket, $0, $1) })
    }

    static func send(_ socket: CInt) throws {
        let byte: [UInt8] = [0]
        _ = try Errno.check(unsafe withLoopback { unsafe Glibc.sendto(socket, byte, 1, 0, $0, $1) })
    }

    static func udpSocket() throws -> FileHandle {
        FileHandle(adopting: try Errno.check(socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)))
    }

    private static func withLoopback<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(9).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
