// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// What a bpffs lets the user namespace that it belongs to do with BPF: its mount options, each `any`, a number, or
/// names; nil for an option that is not given.
///
/// - Source: kernel/bpf/inode.c, bpf_parse_param (6.9).
public struct Delegation: Sendable {
    public var commands: String?
    public var maps: String?
    public var programs: String?
    public var attachments: String?

    public init(commands: String? = nil, maps: String? = nil, programs: String? = nil, attachments: String? = nil) {
        self.commands = commands
        self.maps = maps
        self.programs = programs
        self.attachments = attachments
    }

    public static let everything = Delegation(commands: "any", maps: "any", programs: "any", attachments: "any")

    var options: [(String, String)] {
        let all = [
            ("delegate_cmds", commands), ("delegate_maps", maps), ("delegate_progs", programs),
            ("delegate_attachs", attachments),
        ]
        return all.compactMap { name, value in value.map { (name, $0) } }
    }
}

/// A bpffs made in three steps, for it belongs to the user namespace of the first one's caller, and only the initial
/// user namespace's root may take the second.
public enum BPFFileSystem {
    /// fsopen(2): the file system will belong to the caller's user namespace.
    public static func begin(_ type: String = "bpf") throws(Errno) -> FileHandle {
        FileHandle(adopting: try Errno.check(unsafe clinux_fsopen(type)))
    }

    /// fsconfig(2) with the options; nil on success.
    public static func configure(_ context: CInt, _ delegation: Delegation) -> Errno? {
        for (name, value) in delegation.options {
            if unsafe clinux_fsconfig_string(context, name, value) != 0 { return Errno.last }
        }
        return nil
    }

    /// fsconfig(2), the command that makes the file system; nil on success.
    public static func create(_ context: CInt) -> Errno? {
        clinux_fsconfig_create(context) == 0 ? nil : Errno.last
    }

    /// fsmount(2): a mount that is attached nowhere; for who is root in the user namespace of its mount namespace.
    ///
    /// - Returns: its root directory.
    public static func mount(_ context: CInt) throws(Errno) -> FileHandle {
        let mount = FileHandle(adopting: try Errno.check(clinux_fsmount(context)))
        return FileHandle(adopting: try Errno.check(unsafe clinux_openat(mount.raw, ".", O_RDONLY | O_DIRECTORY)))
    }

    /// A directory below one that is open.
    public static func subdirectory(_ name: String, of directory: CInt) throws(Errno) -> FileHandle {
        _ = try Errno.check(unsafe mkdirat(directory, name, 0o700))
        return FileHandle(adopting: try Errno.check(unsafe clinux_openat(directory, name, O_RDONLY | O_DIRECTORY)))
    }
}

/// BPF tokens (6.9).
public enum Token {
    /// BPF_TOKEN_CREATE.
    ///
    /// - Parameter directory: the root of a bpffs.
    public static func create(_ directory: CInt, flags: UInt32 = 0) -> Result<FileHandle, Errno> {
        var attr = Attr(size: 8)
        attr.set(flags, at: 0)
        attr.set(directory, at: 4)
        return attr.call(.tokenCreate).map { FileHandle(adopting: $0) }
    }
}

extension Feature {
    /// BPF_TOKEN_CREATE (commit 35f96de04127, 6.9): a kernel that does not know the command says EINVAL.
    public static let bpfToken = Feature("bpf-token", since: "6.9") {
        switch Token.create(-1) {
        case .failure(.badFileDescriptor): .present
        case .failure(let errno): .absent(evidence: "BPF_TOKEN_CREATE: \(errno.name) (\(errno.rawValue))")
        case .success: .absent(evidence: "BPF_TOKEN_CREATE of no descriptor: 0")
        }
    }
}
