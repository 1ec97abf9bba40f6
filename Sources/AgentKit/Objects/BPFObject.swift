// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import Synchronization
public import SystemPackage

/// A BPF object file, loaded into the kernel by libbpf; unloaded with its last owner.
@safe public final class BPFObject {
    /// Where the objects are in the guest: `BPFTEST_OBJECTS`, else the folder that `make objects` fills.
    public static var directory: String {
        guard let named = unsafe getenv("BPFTEST_OBJECTS") else { return ".build/guest/objects" }
        return unsafe String(cString: named)
    }

    private let owner: Owner
    private var mapped: [String: MappedSection] = [:]
    private var loaded = false
    public let path: String

    var object: OpaquePointer { unsafe owner.object }

    /// Loads an object.
    ///
    /// - Parameters:
    ///   - name: relative to `directory`, such as `mprog/trace.bpf.o`.
    ///   - programs: the only ones to be loaded; nil for all that the object loads by itself.
    ///   - isVerbose: have the verifier print every instruction, also of a program that it accepts. Otherwise the log
    ///     is written only for a program that is refused.
    ///   - prepare: called between opening and loading, when .rodata can still be set.
    /// - Throws: `LoadError` with the verifier's log of the program that was refused.
    public init(
        _ name: String, programs: [String]? = nil, isVerbose: Bool = false,
        prepare: (BPFObject) throws(LoadError) -> Void = { _ in }
    ) throws(LoadError) {
        let path = name.hasPrefix("/") ? name : Self.directory + "/" + name
        self.path = path
        LibbpfMessages.capture()
        if let opened = (Self.openedInAdvance.withLock { $0.removeValue(forKey: path) }) {
            owner = opened
        } else {
            owner = try Self.open(path)
        }
        let opened = unsafe owner.object
        // Zeroed by the kernel page by page as the verifier writes: most logs are short.
        let log = VerifierLog(size: Self.logSize)
        guard let text = unsafe log.text else {
            throw LoadError(path: path, step: "find memory for the log of", errno: Errno.last, log: "", messages: "")
        }
        var program = unsafe bpf_object__next_program(opened, nil)
        while let current = unsafe program {
            let programName = unsafe String(cString: bpf_program__name(current))
            if let programs { _ = unsafe bpf_program__set_autoload(current, programs.contains(programName)) }
            // One buffer for all: libbpf loads one after another and stops at the first that is refused.
            _ = unsafe bpf_program__set_log_buf(current, text, Self.logSize)
            // Level 2 prints every instruction: a message that the kernel prints only then is found too. With level 0
            // libbpf loads a program that is refused once more, for its log.
            _ = unsafe bpf_program__set_log_level(current, isVerbose ? 2 : 0)
            unsafe program = unsafe bpf_object__next_program(opened, current)
        }
        if let programs {
            for wanted in programs where unsafe bpf_object__find_program_by_name(opened, wanted) == nil {
                throw LoadError(
                    path: path, step: "find program \(wanted) in", errno: .noSuchFileOrDirectory, log: "", messages: "")
            }
        }
        try prepare(self)
        let result = unsafe bpf_object__load(opened)
        if result != 0 {
            throw LoadError(
                path: path, step: "load", errno: Errno(rawValue: -result), log: unsafe String(cString: text),
                messages: LibbpfMessages.take())
        }
        loaded = true
        ProgramLines.report(opened)
    }

    /// Enough for the longest log of a small program at level 2.
    private static let logSize = 4 << 20

    // MARK: In advance

    /// What a process that cases are forked from has opened: each of those has a copy of its own.
    private static let openedInAdvance = Mutex<[String: Owner]>([:])

    /// Opens an object for the next one who loads it, so that only loading is left to do.
    static func openInAdvance(_ name: String) {
        let path = name.hasPrefix("/") ? name : directory + "/" + name
        LibbpfMessages.capture()
        // What cannot be opened, or copied, is said when it is loaded.
        guard let owner = try? open(path), unsafe unshareGlobals(of: owner.object) else { return }
        openedInAdvance.withLock { $0[path] = owner }
    }

    /// Gives a process and those forked from it initial values of their own: libbpf 1.1 has them in memory that all of
    /// these would share, where what one case sets before loading stays for the next.
    ///
    /// - Returns: false when there is no memory for it.
    private static func unshareGlobals(of object: OpaquePointer) -> Bool {
        var map = unsafe bpf_object__next_map(object, nil)
        while let current = unsafe map {
            var size = 0
            if let start = unsafe bpf_map__initial_value(current, &size) {
                let values = unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: size))
                // The same place in memory: libbpf goes on using it, and unmaps it with the object.
                let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
                let place = unsafe UnsafeMutableRawPointer(mutating: start)
                let fresh = unsafe mmap(place, size, PROT_READ | PROT_WRITE, flags, -1, 0)
                guard unsafe fresh != MAP_FAILED else { return false }
                unsafe UnsafeMutableRawBufferPointer(start: fresh, count: size).copyBytes(from: values)
            }
            unsafe map = unsafe bpf_object__next_map(object, current)
        }
        return true
    }

    private static func open(_ path: String) throws(LoadError) -> Owner {
        guard let opened = unsafe bpf_object__open(path) else {
            throw LoadError(path: path, step: "open", errno: Errno.last, log: "", messages: LibbpfMessages.take())
        }
        return unsafe Owner(opened)
    }

    /// Closes libbpf's object once, whether the initialiser came to its end or not.
    @safe private final class Owner: @unchecked Sendable {
        // SAFETY: agents have one thread; in the table of those opened in advance it has no other owner.
        let object: OpaquePointer

        init(_ object: OpaquePointer) {
            unsafe self.object = unsafe object
        }

        deinit {
            unsafe bpf_object__close(object)
        }
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

    /// Global variables (`.data`, `.bss`, `.rodata`) as memory: before loading their initial values, to be set in
    /// `prepare`; afterwards what programs see, shared with the kernel.
    ///
    /// - Returns: valid for as long as the object; not writable in a loaded `.rodata`, which is frozen.
    public func globals(_ section: String) throws(LoadError) -> UnsafeMutableRawBufferPointer {
        guard let map = unsafe bpf_object__find_map_by_name(object, section) else {
            throw missing("section \(section)")
        }
        guard loaded else {
            var size = 0
            guard let start = unsafe bpf_map__initial_value(map, &size) else { throw missing("section \(section)") }
            return unsafe UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(mutating: start), count: size)
        }
        if let known = mapped[section] { return unsafe known.memory }
        // libbpf shares its own copy with the kernel only for skeletons (libbpf 1.1) or from 1.5 on.
        guard let memory = unsafe MappedSection(bpf_map__fd(map), size: Int(bpf_map__value_size(map))) else {
            throw LoadError(path: path, step: "map \(section) of", errno: Errno.last, log: "", messages: "")
        }
        mapped[section] = memory
        return unsafe memory.memory
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

    func missing(_ what: String) -> LoadError {
        LoadError(path: path, step: "find \(what) in", errno: .noSuchFileOrDirectory, log: "", messages: "")
    }
}

/// The value of an array map with one element, as memory of this process and of those forked from it.
@safe private final class MappedSection {
    let memory: UnsafeMutableRawBufferPointer

    /// nil, and errno, when the kernel refuses.
    init?(_ map: CInt, size: Int) {
        // .rodata is frozen: it can be read only.
        for protection in [PROT_READ | PROT_WRITE, PROT_READ] {
            let start = unsafe mmap(nil, size, protection, MAP_SHARED, map, 0)
            if unsafe start != MAP_FAILED {
                unsafe memory = UnsafeMutableRawBufferPointer(start: start, count: size)
                return
            }
        }
        return nil
    }

    deinit {
        _ = unsafe munmap(memory.baseAddress, memory.count)
    }
}

/// Memory for a verifier's log, which the kernel fills in page by page.
@safe private final class VerifierLog {
    let text: UnsafeMutablePointer<CChar>?
    private let size: Int

    init(size: Int) {
        self.size = size
        let start = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        unsafe text = start == MAP_FAILED ? nil : start?.assumingMemoryBound(to: CChar.self)
    }

    deinit {
        if let text = unsafe text { _ = unsafe munmap(text, size) }
    }
}

/// A program attached through libbpf.
@safe public final class AttachedProgram {
    private var link: OpaquePointer?

    init(_ link: OpaquePointer) {
        unsafe self.link = unsafe link
    }

    /// Detaches the program; when this returns it runs no more.
    public func detach() {
        guard let link = unsafe link else { return }
        unsafe self.link = nil
        unsafe bpf_link__destroy(link)
    }

    deinit {
        detach()
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
        unsafe libbpf_set_print { level, format, arguments in
            // What libbpf says for its own developers would take all the room.
            guard level.rawValue < 2, let arguments = unsafe arguments else { return 0 }
            return unsafe clinux_libbpf_print(format, arguments)
        }
    }

    static func take() -> String {
        unsafe String(cString: clinux_libbpf_messages())
    }
}
