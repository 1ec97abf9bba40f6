// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// A file that QEMU can boot, and the release string found in it.
public struct KernelImage: Sendable, Equatable {
    public var path: FilePath
    /// As `uname -r` will say.
    public var release: String

    /// Looks into a file.
    ///
    /// - Throws: `KernelError` that says what the file is instead of a kernel.
    /// - Source: Documentation/arch/x86/boot.rst (bzImage); the "Linux version" banner (vmlinux).
    public init(inspecting path: FilePath) throws(KernelError) {
        self.path = path
        var isDirectory: ObjCBool = false
        guard unsafe FileManager.default.fileExists(atPath: path.string, isDirectory: &isDirectory) else {
            throw KernelError("\(path): there is no such file")
        }
        if isDirectory.boolValue {
            throw KernelError(
                "\(path) is a directory and not a kernel build tree: neither arch/x86/boot/bzImage nor .config is in it"
            )
        }
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path.string), options: .alwaysMapped)
        } catch {
            throw KernelError("\(path) cannot be read: \(error.localizedDescription)")
        }
        if data.isEmpty { throw KernelError("\(path) is empty, not a kernel") }
        if data.count > 0x250, data[0x202..<0x206] == Data("HdrS".utf8) {
            release = try Self.bzImageRelease(data, path)
        } else if data.prefix(4) == Data([0x7f, 0x45, 0x4c, 0x46]) {
            release = try Self.vmlinuxRelease(data, path)
        } else {
            throw KernelError(
                "\(path) is not a kernel: it has neither a bzImage's boot header nor an ELF header. Give a bzImage, a "
                    + "vmlinux, a kernel build tree, a .deb or a version such as 6.12")
        }
    }

    private static func bzImageRelease(_ data: Data, _ path: FilePath) throws(KernelError) -> String {
        // Offset of the version text, less 0x200; 0 where the kernel left it out.
        let offset = Int(data[0x20e]) | Int(data[0x20f]) << 8
        let start = offset + 0x200
        guard offset != 0, start < data.count else { throw KernelError("\(path): its boot header names no version") }
        let text = data[start..<min(data.count, start + 256)].prefix { $0 != 0 && $0 != 0x20 }
        let release = String(decoding: text, as: UTF8.self)
        guard KernelVersion(release) != nil else {
            throw KernelError("\(path): \"\(release.prefix(40))\" in its boot header is no kernel version")
        }
        return release
    }

    private static func vmlinuxRelease(_ data: Data, _ path: FilePath) throws(KernelError) -> String {
        guard let file = KernelELF(data) else {
            throw KernelError("\(path) is an ELF file, but not a whole one for 64-bit x86")
        }
        guard let release = file.release else {
            throw KernelError("\(path) is an ELF file but not a vmlinux: it holds no \"Linux version\"")
        }
        guard file.hasPVHEntry else {
            throw KernelError("\(path) has no PVH entry (CONFIG_PVH): give arch/x86/boot/bzImage of the same build")
        }
        return release
    }
}

/// A kernel that cannot be used, and why: words for the user.
public struct KernelError: Error, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
