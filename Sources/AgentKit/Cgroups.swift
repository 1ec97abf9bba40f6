// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A cgroup of version 2.
public final class Cgroup: Sendable {
    /// Where cgroup2 is mounted; see `mount()`.
    public static let mountPoint = "/sys/fs/cgroup"
    /// The root of the hierarchy.
    public static let root = Cgroup(path: mountPoint)

    public let path: String

    private init(path: String) {
        self.path = path
    }

    /// Makes a cgroup below the root, under a name that no other process uses; when the case is over its processes go
    /// to the root, and it is removed with all that is below it.
    public convenience init(_ test: Test, _ name: String = "cgroup") throws {
        if let errno = Self.mount() {
            throw test.abort("cgroup2 cannot be mounted on \(Self.mountPoint): \(errno.name)")
        }
        try self.init(under: .root, "bpftest-\(getpid())-\(name)")
        test.atEnd { [self] in
            let errno = removeAll()
            if errno != .ENOENT { test.expect(errno, nil, "the cgroup \(path) is removed at the end") }
        }
    }

    /// Makes a cgroup; it goes with the parent that `init(_:_:)` made, or with `remove()`.
    public init(under parent: Cgroup, _ name: String) throws(Errno) {
        path = parent.path + "/" + name
        _ = try Errno.check(unsafe mkdir(path, 0o755))
    }

    /// Makes a cgroup below this one.
    public func child(_ name: String) throws(Errno) -> Cgroup {
        try Cgroup(under: self, name)
    }

    /// The kernel's id: what bpf_get_current_cgroup_id and bpf_cgroup_from_id count in.
    ///
    /// - Source: on 64-bit kernels a kernfs node's number is its id (commit 40430452fd5d, 5.6).
    public var id: UInt64 {
        get throws(Errno) {
            var status = stat()
            _ = try Errno.check(unsafe stat(path, &status))
            return UInt64(status.st_ino)
        }
    }

    /// A descriptor of the directory, as bpf(2) and clone3(2) take it.
    public func open() throws(Errno) -> FileHandle {
        FileHandle(try Descriptors.open(path, O_RDONLY | O_DIRECTORY))
    }

    // MARK: Processes

    /// Moves a process here with all its threads.
    ///
    /// - Parameter pid: 0 for the calling one.
    public func join(_ pid: Int32 = 0) throws(Errno) {
        try write("\(pid)", to: "cgroup.procs")
    }

    /// The processes that are here, not those of cgroups below.
    public func processes() throws(Errno) -> [Int32] {
        try read("cgroup.procs").split(separator: "\n").compactMap { Int32($0) }
    }

    // MARK: Files

    /// The text of one of its files, such as `cgroup.stat`.
    public func read(_ file: String) throws(Errno) -> String {
        String(decoding: try readFile(path + "/" + file), as: UTF8.self)
    }

    /// Writes one of its files, such as `cgroup.subtree_control`.
    public func write(_ text: String, to file: String) throws(Errno) {
        try Descriptors.open(path + "/" + file, O_WRONLY).writeAll(Array(text.utf8))
    }

    /// A number of a file of `key value` lines, such as `nr_dying_descendants` of `cgroup.stat`; nil when it has no
    /// such key.
    public func value(_ key: String, in file: String) throws(Errno) -> Int? {
        for line in try read(file).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == key { return Int(words[1]) }
        }
        return nil
    }

    // MARK: The end

    /// rmdir(2); nil on success. What the kernel answers is EBUSY while there are processes or cgroups in it.
    public func remove() -> Errno? {
        unsafe rmdir(path) == 0 ? nil : Errno.last
    }

    /// Moves its processes to the root and removes it with all that is below; nil on success.
    public func removeAll() -> Errno? {
        for name in children() {
            if let errno = Cgroup(path: path + "/" + name).removeAll() { return errno }
        }
        do {
            for pid in try processes() {
                do {
                    try Self.root.join(pid)
                } catch {
                    // Ended in between.
                    if error != .noSuchProcess { return error }
                }
            }
            try waitUntilEmpty()
        } catch {
            return error
        }
        return remove()
    }

    /// Waits until no process is left in it or below: one that has ended, and has been waited for, may still be there
    /// for a moment.
    ///
    /// - Throws: `.busy` after ten seconds.
    public func waitUntilEmpty() throws(Errno) {
        let events = try Descriptors.open(path + "/cgroup.events", O_RDONLY)
        for _ in 0..<100 {
            // Reading it says what the next change is: kernfs reports each once, as an exception.
            var chunk = [UInt8](repeating: 0, count: 256)
            _ = try Errno.check(CInt(lseek(events.raw, 0, SEEK_SET)))
            let text = String(decoding: chunk[..<(try events.read(into: &chunk))], as: UTF8.self)
            if text.contains("populated 0") { return }
            var wanted = pollfd(fd: events.raw, events: Int16(POLLPRI), revents: 0)
            _ = unsafe poll(&wanted, 1, 100)
        }
        throw .EBUSY
    }

    /// The names of the cgroups in this one.
    private func children() -> [String] {
        guard let directory = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if unsafe entry.pointee.d_type == UInt8(DT_DIR), !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    // MARK: The file system

    /// Mounts cgroup2 where everybody expects it, unless it is there; nil on success.
    public static func mount() -> Errno? {
        // A file that the root has in version 2 alone.
        if unsafe access(mountPoint + "/cgroup.controllers", F_OK) == 0 { return nil }
        unsafe mkdir(mountPoint, 0o755)
        return unsafe Glibc.mount("cgroup2", mountPoint, "cgroup2", 0, nil) == 0 ? nil : Errno.last
    }
}

extension Feature {
    /// cgroup2 in its own hierarchy.
    public static let cgroup2 = Feature("cgroup2", since: "4.5", config: ["CONFIG_CGROUPS"]) {
        guard let errno = Cgroup.mount() else { return .present }
        return .absent(evidence: "mount of cgroup2: \(errno.name) (\(errno.rawValue))")
    }
}
