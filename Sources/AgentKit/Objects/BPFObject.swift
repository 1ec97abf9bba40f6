// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A BPF object file, loaded into the kernel by libbpf; unloaded with its last owner.
@safe public final class BPFObject {
    /// Where the objects are in the guest: `BPFTEST_OBJECTS`, else the folder that `make objects` fills.
    public static var directory: String {
        guard let named = unsafe getenv("BPFTEST_OBJECTS") else { return ".build/guest/objects" }
        return unsafe String(cString: named)
    }

    private let object: OpaquePointer
    public let path: String

    /// Loads an object.
    ///
    /// - Parameters:
    ///   - name: relative to `directory`, such as `mprog/trace.bpf.o`.
    ///   - programs: the only ones to be loaded; nil for all that the object loads by itself.
    ///   - variables: called between opening and loading, when .rodata can still be set.
    /// - Throws: `LoadError` with the verifier's log of the program that was refused.
    public init(
        _ name: String, programs: [String]? = nil, prepare: (BPFObject) throws(LoadError) -> Void = { _ in }
    ) throws(LoadError) {
        path = name.hasPrefix("/") ? name : Self.directory + "/" + name
        LibbpfMessages.capture()
        guard let opened = unsafe bpf_object__open(path) else {
            throw LoadError(
                path: path, step: "open", errno: Errno.last, log: "", messages: LibbpfMessages.take())
        }
        unsafe object = unsafe opened
        let log = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Self.logSize)
        unsafe log.initialize(repeating: 0)
        defer { unsafe log.deallocate() }
        var program = unsafe bpf_object__next_program(opened, nil)
        while let current = unsafe program {
            let programName = unsafe String(cString: bpf_program__name(current))
            if let programs { _ = unsafe bpf_program__set_autoload(current, programs.contains(programName)) }
            // One buffer for all: libbpf loads one after another and stops at the first that is refused.
            _ = unsafe bpf_program__set_log_buf(current, log.baseAddress, log.count)
            // Level 2 prints every instruction: a message that the kernel prints only then is found too.
            _ = unsafe bpf_program__set_log_level(current, 2)
            unsafe program = unsafe bpf_object__next_program(opened, current)
        }
        if let programs {
            for wanted in programs where unsafe bpf_object__find_program_by_name(opened, wanted) == nil {
                unsafe bpf_object__close(opened)
                throw LoadError(
                    path: path, step: "find program \(wanted) in", errno: .noSuchFileOrDirectory, log: "", messages: "")
            }
        }
        try prepare(self)
        let result = unsafe bpf_object__load(opened)
        if result != 0 {
            let text = unsafe String(cString: log.baseAddress!)
            unsafe bpf_object__close(opened)
            throw LoadError(
                path: path, step: "load", errno: Errno(rawValue: -result), log: text, messages: LibbpfMessages.take())
        }
    }

    /// Enough for the longest log of a small program at level 2.
    private static let logSize = 4 << 20

    deinit {
        // A failed initialiser has closed the object itself and does not come here.
        unsafe bpf_object__close(object)
    }

    /// The descriptor of a loaded program; owned by the object.
    public func program(_ name: String) throws(LoadError) -> CInt {
        guard let program = unsafe bpf_object__find_program_by_name(object, name) else {
            throw missing("program \(name)")
        }
        return unsafe bpf_program__fd(program)
    }

    /// The descriptor of a map; owned by the object.
    public func map(_ name: String) throws(LoadError) -> CInt {
        guard let map = unsafe bpf_object__find_map_by_name(object, name) else { throw missing("map \(name)") }
        return unsafe bpf_map__fd(map)
    }

    /// Global variables (`.data`, `.bss`, `.rodata`) as memory that is shared with the kernel.
    ///
    /// - Returns: valid for as long as the object.
    public func globals(_ section: String) throws(LoadError) -> UnsafeMutableRawBufferPointer {
        var map = unsafe bpf_object__next_map(object, nil)
        while let current = unsafe map {
            // libbpf names it after the object, cut to the kernel's 15 characters: "trace.bss".
            if unsafe String(cString: bpf_map__name(current)).hasSuffix(section) {
                var size = 0
                if let start = unsafe bpf_map__initial_value(current, &size) {
                    return unsafe UnsafeMutableRawBufferPointer(
                        start: UnsafeMutableRawPointer(mutating: start), count: size)
                }
            }
            unsafe map = unsafe bpf_object__next_map(object, current)
        }
        throw missing("section \(section)")
    }

    /// Attaches a program the way its section says; detached when the result goes away.
    public func attach(_ name: String) throws(LoadError) -> AttachedProgram {
        guard let program = unsafe bpf_object__find_program_by_name(object, name) else {
            throw missing("program \(name)")
        }
        LibbpfMessages.capture()
        guard let link = unsafe bpf_program__attach(program) else {
            throw LoadError(
                path: path, step: "attach \(name) of", errno: Errno.last, log: "", messages: LibbpfMessages.take())
        }
        return unsafe AttachedProgram(link)
    }

    private func missing(_ what: String) -> LoadError {
        LoadError(path: path, step: "find \(what) in", errno: .noSuchFileOrDirectory, log: "", messages: "")
    }
}

/// A program attached through libbpf.
@safe public final class AttachedProgram {
    private let link: OpaquePointer

    init(_ link: OpaquePointer) {
        unsafe self.link = unsafe link
    }

    deinit {
        unsafe bpf_link__destroy(link)
    }
}

/// Why an object could not be brought into the kernel.
public struct LoadError: Error, CustomStringConvertible {
    public let path: String
    public let step: String
    public let errno: Errno
    /// The verifier's log of the refused program; empty where it came to no verification.
    public let log: String
    /// What libbpf said meanwhile.
    public let messages: String

    public var description: String {
        let name = path.split(separator: "/").suffix(2).joined(separator: "/")
        let detail = log.isEmpty ? messages : log
        return "cannot \(step) \(name): \(errno.name) (\(errno.rawValue))\n\(detail.suffix(2000))"
    }
}

/// libbpf's own messages, kept instead of printed: an agent's stderr is for what it says itself.
enum LibbpfMessages {
    static func capture() {
        clinux_libbpf_capture()
        unsafe libbpf_set_print { _, format, arguments in
            guard let arguments = unsafe arguments else { return 0 }
            return unsafe clinux_libbpf_print(format, arguments)
        }
    }

    static func take() -> String {
        unsafe String(cString: clinux_libbpf_messages())
    }
}
