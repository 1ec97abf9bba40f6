// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// A program on a hook that opening a file passes, and the files to be opened.
final class FileOpening {
    let test: Test
    let object: BPFObject
    private let program: String
    private var attached: AttachedProgram?
    private var opens: Int32 = 0
    private var mounted = false

    init(_ test: Test, _ program: String, attach: Bool = true) throws {
        self.test = test
        self.program = program
        object = try BPFObject("kfuncs/file.bpf.o", programs: [program])
        try object.set("pid_wanted", to: getpid())
        if attach { try self.attach() }
    }

    func attach() throws {
        attached = try object.attach(program)
    }

    func detach() {
        attached = nil
    }

    /// Opens a file, which the program must see.
    func open(_ name: String) throws {
        let before = try object.value(of: "runs", as: Int32.self)
        _ = FileHandle(try Descriptors.open(name, O_RDONLY))
        test.expect(try object.value(of: "runs"), equals: before + 1, "runs of the program for opening \(name)")
    }

    /// A file on a tmpfs of the case's own, which has extended attributes whatever the root file system is.
    ///
    /// Nothing that is opened here counts as a run.
    func scratchFile(attribute: (name: String, value: String)? = nil) throws -> String {
        let wanted = try object.value(of: "pid_wanted", as: Int32.self)
        try object.set("pid_wanted", to: Int32(-1))
        if !mounted {
            try FileScratch.mount()
            mounted = true
        }
        let name = try FileScratch.file()
        if let attribute {
            try FileAttributes.set(attribute.name, to: attribute.value, of: name)
        }
        try object.set("pid_wanted", to: wanted)
        return name
    }

    /// What the function returned to the program.
    func result() throws -> Int32 {
        try object.value(of: "result")
    }

    /// The same as an errno; nil for success.
    func error() throws -> Errno? {
        let result = try result()
        return result < 0 ? Errno(rawValue: -result) : nil
    }

    func path() throws -> String {
        String(decoding: try object.bytes(of: "path").prefix { $0 != 0 }, as: UTF8.self)
    }
}
