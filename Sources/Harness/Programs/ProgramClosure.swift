// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
public import VMRunner

/// A program of the host and everything that starting it takes: its loader, its libraries, a script's interpreter.
///
/// Files keep their paths, so that what is written in a program ($ORIGIN, absolute search paths, `#!`) holds in the guest
/// as it does here. Nothing of the program is run for it.
public struct ProgramClosure: Sendable {
    public private(set) var files: [GuestFile] = []
    /// Bytes of all of them.
    public private(set) var size = 0
    /// What is missing of files that may do without.
    public private(set) var remarks: [String] = []
    /// Folders that the guest's PATH must have for interpreters behind `env`.
    public private(set) var folders: [String] = []
    private var known: Set<String> = []
    private let search: LibrarySearch
    private let environment: [String: String]

    /// - Parameter environment: PATH is where an interpreter behind `env` is looked up.
    public init(environment: [String: String]) async throws(HarnessError) {
        self.init(search: try await LibrarySearch.ofThisHost(), environment: environment)
    }

    init(search: LibrarySearch, environment: [String: String]) {
        self.search = search
        self.environment = environment
    }

    /// Where the loader's cache is, on the host and in the guest: what is in no folder of its own is found through it.
    static let loaderCache = "/etc/ld.so.cache"

    /// Adds a program with all that it needs.
    ///
    /// - Returns: its path in the guest.
    /// - Throws: `.usage` for what cannot be run there, with the reason.
    public mutating func add(program path: FilePath) throws(HarnessError) -> String {
        let host = Self.absolute(path)
        let guest = Self.guestPath(host)
        try add(executable: LibrarySearch.Found(host: host, guest: guest), depth: 0)
        return guest
    }

    /// Adds a file or a folder with all that is in it; of programs and libraries what these need, too.
    ///
    /// - Parameter isStrict: a library that is not found is an error, and no remark.
    public mutating func add(file path: FilePath, as guest: String, isStrict: Bool = true) throws(HarnessError) {
        let host = Self.absolute(path)
        var isFolder: ObjCBool = false
        guard unsafe FileManager.default.fileExists(atPath: host, isDirectory: &isFolder) else {
            throw .usage("\(path) does not exist")
        }
        guard isFolder.boolValue else {
            try add(any: LibrarySearch.Found(host: host, guest: guest), isStrict)
            return
        }
        guard let all = FileManager.default.enumerator(atPath: host) else { throw .usage("\(path) cannot be read") }
        for name in all.compactMap({ $0 as? String }).sorted() {
            let below = host + "/" + name
            guard unsafe FileManager.default.fileExists(atPath: below, isDirectory: &isFolder), !isFolder.boolValue
            else { continue }
            try add(any: LibrarySearch.Found(host: below, guest: guest + "/" + name), isStrict)
        }
    }

    private mutating func add(any found: LibrarySearch.Found, _ isStrict: Bool) throws(HarnessError) {
        if let elf = ELFProgram(FilePath(found.host)), elf.machine == ELFProgram.x86, elf.is64Bit {
            return try add(elf, found, isStrict)
        }
        try put(found)
        // A script's interpreter, where there is one here.
        guard FileManager.default.isExecutableFile(atPath: found.host),
            let words = Self.interpreter(of: FilePath(found.host))
        else { return }
        guard FileManager.default.isExecutableFile(atPath: words[0]) else {
            remarks.append("\(found.host): its interpreter \(words[0]) does not exist")
            return
        }
        try add(interpreter: words, of: FilePath(found.host), depth: 0)
    }

    /// An absolute path without `.` and `..`, links left as they are.
    static func absolute(_ path: FilePath) -> String {
        let whole = path.isAbsolute ? path : FilePath(FileManager.default.currentDirectoryPath).appending(path.string)
        return whole.lexicallyNormalized().string
    }

    /// The same path, but where the guest has file systems of the kernel's own.
    static func guestPath(_ host: String) -> String {
        let taken = ["/proc/", "/sys/", "/dev/", "/run/bpftest/"]
        guard taken.contains(where: { host.hasPrefix($0) }) else { return host }
        return "/run/bpftest/programs/" + (FilePath(host).lastComponent?.string ?? "program")
    }

    // MARK: Programs

    private mutating func add(executable found: LibrarySearch.Found, depth: Int) throws(HarnessError) {
        let file = FilePath(found.host)
        var isFolder: ObjCBool = false
        guard unsafe FileManager.default.fileExists(atPath: found.host, isDirectory: &isFolder) else {
            throw .usage("\(file) does not exist")
        }
        if isFolder.boolValue { throw .usage("\(file) is a folder") }
        guard FileManager.default.isReadableFile(atPath: found.host) else { throw .usage("\(file) cannot be read") }
        guard FileManager.default.isExecutableFile(atPath: found.host) else {
            throw .usage("\(file) is not executable (chmod +x)")
        }
        if let elf = ELFProgram(file) {
            if elf.machine == ELFProgram.bpf { throw .usage("\(file) is a BPF object: name it without --") }
            guard elf.machine == ELFProgram.x86, elf.is64Bit else {
                throw .usage("\(file) is a program for another machine: guests are x86-64")
            }
            return try add(elf, found, true)
        }
        guard let words = Self.interpreter(of: file) else {
            throw .usage("\(file) is neither an ELF program nor a script with #! in its first line")
        }
        // The kernel follows four interpreters that are scripts themselves (fs/exec.c, exec_binprm()).
        guard depth < 5 else { throw .usage("\(file): too many interpreters that are scripts") }
        try put(found, mode: 0o755)
        try add(interpreter: words, of: file, depth: depth)
    }

    private mutating func add(interpreter words: [String], of file: FilePath, depth: Int) throws(HarnessError) {
        let path = words[0]
        guard path.hasPrefix("/") else { throw .usage("\(file): its interpreter \(path) is no absolute path") }
        guard FileManager.default.fileExists(atPath: path) else {
            throw .usage("\(file): its interpreter \(path) does not exist")
        }
        try add(executable: LibrarySearch.Found(host: path, guest: path), depth: depth + 1)
        guard FilePath(path).lastComponent?.string == "env", let name = Self.program(behindEnv: words) else { return }
        guard let found = Self.find(name, environment: environment) else {
            throw .usage("\(file): its interpreter \(name) is not in PATH")
        }
        // env looks where the guest's PATH leads.
        folders.append(FilePath(found).removingLastComponent().string)
        try add(executable: LibrarySearch.Found(host: found, guest: found), depth: depth + 1)
    }

    /// The words behind `#!`: a path and at most one argument, as the kernel splits them.
    static func interpreter(of file: FilePath) -> [String]? {
        guard let handle = FileHandle(forReadingAtPath: file.string) else { return nil }
        // A read that fails shows as a file without #!.
        let head = (try? handle.read(upToCount: 256)) ?? Data()
        guard head.starts(with: Data("#!".utf8)) else { return nil }
        let line = String(decoding: head.dropFirst(2).prefix { $0 != 0x0a }, as: UTF8.self)
        let rest = line.drop { $0 == " " || $0 == "\t" }
        let path = rest.prefix { $0 != " " && $0 != "\t" }
        let argument = rest.dropFirst(path.count).trimmingCharacters(in: .whitespaces)
        return path.isEmpty ? nil : [String(path)] + (argument.isEmpty ? [] : [argument])
    }

    /// `python3` of `#!/usr/bin/env -S python3 -u`.
    private static func program(behindEnv words: [String]) -> String? {
        let arguments = words.dropFirst().flatMap { $0.split(separator: " ").map(String.init) }
        return arguments.first { !$0.hasPrefix("-") && !$0.contains("=") }
    }

    /// Looks a name up in PATH.
    public static func find(_ name: String, environment: [String: String]) -> String? {
        let folders = (environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return folders.map { "\($0)/\(name)" }.first { path in
            var isFolder: ObjCBool = false
            return unsafe path.hasPrefix("/") && FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                && !isFolder.boolValue && FileManager.default.isExecutableFile(atPath: path)
        }
    }

    // MARK: Libraries

    private mutating func add(
        _ elf: ELFProgram, _ found: LibrarySearch.Found, _ isStrict: Bool
    ) throws(HarnessError) {
        try put(found, mode: 0o755)
        var musl = false
        if let loader = elf.interpreter {
            guard FileManager.default.fileExists(atPath: loader) else {
                throw .usage("\(found.host): its loader \(loader) does not exist")
            }
            musl = loader.contains("ld-musl")
            try put(LibrarySearch.Found(host: loader, guest: loader), mode: 0o755)
            if !musl, FileManager.default.isReadableFile(atPath: Self.loaderCache) {
                try put(LibrarySearch.Found(host: Self.loaderCache, guest: Self.loaderCache))
            }
        }
        // Where the file really is: a program's $ORIGIN is that of what its links lead to.
        let real = (try? FilePath(found.host).resolvingLinks()) ?? found.host
        let origin = elf.interpreter == nil ? found : LibrarySearch.Found(host: real, guest: found.guest)
        var waiting = [LibrarySearch.Requester(program: elf, found: origin)]
        var loaded: Set<String> = []
        while !waiting.isEmpty {
            let requester = waiting.removeFirst()
            for name in requester.program.needed where loaded.insert(name).inserted {
                // The loader is there already, under the name that libraries ask for.
                if elf.interpreter.map({ FilePath($0).lastComponent?.string == name }) ?? false { continue }
                guard let library = search.find(name, for: requester, musl: musl) else {
                    let problem =
                        "\(requester.found.host) needs \(name), which is not on this machine: neither in its own search "
                        + "path nor in the system's"
                    if isStrict { throw .usage("\(problem) (LD_LIBRARY_PATH does not count)") }
                    remarks.append(problem)
                    continue
                }
                try put(library, mode: 0o755)
                guard let content = ELFProgram(FilePath(library.host)) else { continue }
                let passedOn =
                    LibrarySearch.places(requester.program.rpath, of: requester.found) + requester.inherited
                waiting.append(
                    LibrarySearch.Requester(program: content, found: library, inherited: passedOn))
            }
        }
        // glibc opens it by itself when a thread ends (pthread_exit) or is cancelled, and aborts without it.
        let unwinder = "libgcc_s.so.1"
        let requester = LibrarySearch.Requester(program: elf, found: origin)
        if loaded.contains("libc.so.6"), !loaded.contains(unwinder),
            let library = search.find(unwinder, for: requester, musl: musl)
        {
            try put(library, mode: 0o755)
        }
    }

    // MARK: Files

    private mutating func put(_ found: LibrarySearch.Found, mode: UInt32? = nil) throws(HarnessError) {
        guard known.insert(found.guest).inserted else { return }
        let size: Int
        do {
            // Of what a link leads to.
            let real = try FilePath(found.host).resolvingLinks()
            let attributes = try FileManager.default.attributesOfItem(atPath: real)
            size = attributes[.size] as? Int ?? 0
        } catch {
            throw .usage("\(found.host) cannot be read: \(Folders.reason(error))")
        }
        self.size += size
        let mode = mode ?? (FileManager.default.isExecutableFile(atPath: found.host) ? 0o755 : 0o644)
        files.append(GuestFile(.file(FilePath(found.host)), as: found.guest, mode: mode))
    }
}

extension FilePath {
    /// The path of what links lead to.
    func resolvingLinks() throws -> String {
        guard let real = unsafe realpath(string, nil) else { throw Errno(rawValue: errno) }
        defer { unsafe free(real) }
        return unsafe String(cString: real)
    }
}
