// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import CBtfCache
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// An object opened by libbpf so that one program of it can be loaded, and what the kernel said.
@safe final class ProgramLoad {
    /// What became of loading.
    struct Outcome {
        var errno: Errno?
        /// The verifier's log of the tested program.
        var log: String
        /// What libbpf said.
        var messages: String

        /// Whether the kernel itself said no: to the program, or to a map or the types that it needs.
        var isKernelsRefusal: Bool {
            !log.isEmpty
                || ["BPF program load failed", "failed to create: ", "Error loading .BTF into kernel"].contains {
                    messages.contains($0)
                }
        }
    }

    /// Does once, in the process that cases are forked from, what each would do again: reads the kernel's types and has
    /// libbpf find out what the kernel can do.
    static func warmUp() {
        _ = cbtfcache_fill()
        LibbpfMessages.capture()
        LibbpfGaps.teach()
        _ = LoadedProgram.baseFlags()
        // Only a matter of time: any object will do, and without one each case asks for itself.
        _ = try? BPFObject("mprog/trace.bpf.o")
    }

    private let object: OpaquePointer
    private let program: OpaquePointer
    private let log: LogMemory
    private var links: [AttachedProgram] = []

    private static let logSize = 16 << 20

    /// Opens the object.
    ///
    /// - Parameters:
    ///   - others: further programs that are loaded with the tested one; nil: those that the object loads by itself.
    ///   - btfPath: a file whose types stand for the kernel's.
    init(_ bytes: [UInt8], program name: String, with others: Set<String>?, btfPath: String?) throws(LoadError) {
        LibbpfMessages.capture()
        LibbpfGaps.teach()
        func problem(_ step: String, _ errno: Errno) -> LoadError {
            LoadError(path: "the object", step: step, errno: errno, log: "", messages: LibbpfMessages.take())
        }
        guard let memory = LogMemory(size: Self.logSize) else { throw problem("find memory for", Errno.last) }
        log = memory
        let opened = unsafe bytes.withUnsafeBytes { raw -> OpaquePointer? in
            var options = unsafe bpf_object_open_opts()
            unsafe options.sz = MemoryLayout<bpf_object_open_opts>.size
            return unsafe "object".withCString { text in
                unsafe options.object_name = text
                guard let btfPath else { return unsafe bpf_object__open_mem(raw.baseAddress, raw.count, &options) }
                return unsafe btfPath.withCString { path in
                    unsafe options.btf_custom_path = path
                    return unsafe bpf_object__open_mem(raw.baseAddress, raw.count, &options)
                }
            }
        }
        guard let opened = unsafe opened else { throw problem("open", Errno.last) }
        guard let found = unsafe bpf_object__find_program_by_name(opened, name) else {
            unsafe bpf_object__close(opened)
            throw problem("find program \(name) in", .noSuchFileOrDirectory)
        }
        unsafe object = opened
        unsafe program = found
        var next = unsafe bpf_object__next_program(opened, nil)
        while let current = unsafe next {
            let other = unsafe String(cString: bpf_program__name(current))
            if other == name {
                _ = unsafe bpf_program__set_autoload(current, true)
            } else if let others {
                _ = unsafe bpf_program__set_autoload(current, others.contains(other))
            }
            unsafe next = unsafe bpf_object__next_program(opened, current)
        }
        _ = unsafe bpf_program__set_log_buf(found, memory.text, Self.logSize)
    }

    deinit {
        links = []
        unsafe bpf_object__close(object)
    }

    /// - Parameter level: as the annotation says; at 0 libbpf loads a refused program once more, for its log.
    func setLogLevel(_ level: UInt32) {
        _ = unsafe bpf_program__set_log_level(program, level)
    }

    /// Adds flags to those that the section brings along.
    func addFlags(_ flags: UInt32) {
        _ = unsafe bpf_program__set_flags(program, bpf_program__flags(program) | flags)
    }

    /// Does without the maps that an unprivileged user may not make.
    func dropPrivilegedMaps() {
        unsafe forEachMap { map in
            let type = unsafe bpf_map__type(map).rawValue
            let flags = unsafe bpf_map__map_flags(map)
            // BPF_F_ZERO_SEED of hash maps is for privileged users.
            let isHash = [1, 5, 13].contains(type)
            let isAllowed =
                isHash ? flags & 1 << 6 == 0 : [2, 3, 4, 6, 8, 12, 19, 21, 27, 31].contains(type)
            _ = unsafe bpf_map__set_autocreate(map, isAllowed)
        }
    }

    private func forEachMap(_ body: (OpaquePointer) -> Void) {
        var map = unsafe bpf_object__next_map(object, nil)
        while let current = unsafe map {
            unsafe body(current)
            unsafe map = unsafe bpf_object__next_map(object, current)
        }
    }

    func load() -> Outcome {
        makeArenas()
        let result = unsafe bpf_object__load(object)
        if result == 0 { unsafe ProgramLines.report(object) }
        return Outcome(
            errno: result == 0 ? nil : Errno(rawValue: -result), log: log.string, messages: LibbpfMessages.take())
    }

    /// Makes maps of the type ARENA and maps them into this process: programs are refused before that is done, and
    /// libbpf 1.1 does not do it (1.4 does).
    private func makeArenas() {
        unsafe forEachMap { map in
            guard unsafe bpf_map__type(map).rawValue == 33, unsafe bpf_map__autocreate(map) else { return }
            let pages = unsafe bpf_map__max_entries(map)
            let place = unsafe bpf_map__map_extra(map)
            var attr = Attr(size: 72)
            attr.set(UInt32(33), at: 0)
            attr.set(pages, at: 12)
            unsafe attr.set(bpf_map__map_flags(map), at: 16)
            attr.set(place, at: 64)
            // What the kernel refuses here it refuses libbpf as well, which then says so.
            guard case .success(let raw) = attr.call(.mapCreate) else { return }
            let file = FileHandle(adopting: raw)
            let size = Int(pages) * 4096
            let flags = MAP_SHARED | (place == 0 ? 0 : MAP_FIXED)
            guard
                unsafe mmap(
                    UnsafeMutableRawPointer(bitPattern: UInt(place)), size, PROT_READ | PROT_WRITE, flags, raw, 0)
                    != MAP_FAILED
            else { return }
            // libbpf has a copy of its own.
            _ = unsafe bpf_map__reuse_fd(map, raw)
            file.close()
        }
    }

    // MARK: Loaded

    var descriptor: CInt { unsafe bpf_program__fd(program) }

    /// BPF_PROG_TYPE_SYSCALL, which takes no packet.
    var isSystemCall: Bool { unsafe bpf_program__type(program).rawValue == 31 }

    /// Puts a value into a map of the object.
    ///
    /// - Returns: why the map did not take it.
    func update(_ one: FilledMap) -> Errno? {
        guard let map = unsafe bpf_object__find_map_by_name(object, one.map) else { return .noSuchFileOrDirectory }
        let result = unsafe bpf_map_update_elem(bpf_map__fd(map), one.key, one.value, 0)
        return result == 0 ? nil : Errno(rawValue: -result)
    }

    /// Registers what the object's struct_ops maps describe, until the object goes away.
    ///
    /// - Returns: the map that could not be attached, and why.
    func attachStructOps() -> (map: String, errno: Errno)? {
        var problem: (String, Errno)?
        unsafe forEachMap { map in
            let type = unsafe bpf_map__type(map).rawValue
            guard problem == nil, type == 26, unsafe bpf_map__autocreate(map) else { return }
            guard let link = unsafe bpf_map__attach_struct_ops(map) else {
                problem = unsafe (String(cString: bpf_map__name(map)), Errno.last)
                return
            }
            links.append(unsafe AttachedProgram(link))
        }
        return problem
    }
}

/// Memory for a verifier's log, which the kernel fills in page by page.
@safe final class LogMemory {
    let text: UnsafeMutablePointer<CChar>
    private let size: Int

    init?(size: Int) {
        self.size = size
        guard let start = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            unsafe start != MAP_FAILED
        else { return nil }
        unsafe text = start.assumingMemoryBound(to: CChar.self)
    }

    var string: String { unsafe String(cString: text) }

    deinit {
        _ = unsafe munmap(text, size)
    }
}
