// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import VMRunner

/// A folder for one test, removed with it.
final class Scratch {
    let path: FilePath

    init() throws {
        path = FilePath(NSTemporaryDirectory()).appending("bpftest-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
    }

    deinit {
        // The system sweeps what stays in its temporary folder.
        try? FileManager.default.removeItem(atPath: path.string)
    }

    @discardableResult
    func write(_ name: String, _ content: Data) throws -> FilePath {
        let file = path.appending(name)
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try content.write(to: URL(fileURLWithPath: file.string))
        return file
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> FilePath { try write(name, Data(text.utf8)) }
}

/// The smallest files that look like kernels.
enum Sample {
    /// A boot header, and the version text at 0x400.
    static func bzImage(_ version: String, offset: Int = 0x200) -> Data {
        var data = Data(count: 0x600)
        data.replaceSubrange(0x202..<0x206, with: Data("HdrS".utf8))
        data[0x20e] = UInt8(offset & 0xff)
        data[0x20f] = UInt8(offset >> 8)
        let text = Data(version.utf8)
        if offset + 0x200 + text.count <= data.count {
            data.replaceSubrange((offset + 0x200)..<(offset + 0x200 + text.count), with: text)
        }
        return data
    }

    private static func bytes(_ value: Int, _ size: Int) -> Data {
        Data((0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
    }

    /// An ELF file with one loaded segment and one note.
    static func vmlinux(banner: String, noteType: Int = 18, noteName: String = "Xen", machine: Int = 62) -> Data {
        var header = Data([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]) + Data(count: 8)
        header += bytes(2, 2) + bytes(machine, 2) + bytes(1, 4) + bytes(0, 8) + bytes(64, 8) + bytes(0, 8)
        header += bytes(0, 4) + bytes(64, 2) + bytes(56, 2) + bytes(2, 2) + bytes(0, 6)
        let text = Data("%s: Linux version \0".utf8) + Data(banner.utf8) + Data([0])
        let name = Data(noteName.utf8) + Data([0])
        let note = bytes(name.count, 4) + bytes(8, 4) + bytes(noteType, 4) + name + bytes(0x100_0000, 8)
        func segment(_ type: Int, _ offset: Int, _ size: Int) -> Data {
            bytes(type, 4) + bytes(5, 4) + bytes(offset, 8) + bytes(0, 16) + bytes(size, 8) + bytes(size, 8)
                + bytes(1, 8)
        }
        let start = 64 + 2 * 56
        return header + segment(1, start, text.count) + segment(4, start + text.count, note.count) + text + note
    }
}

struct KernelImageTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// What inspecting a file says against it; nil when it is taken.
    private func complaint(_ path: FilePath) -> String? {
        do {
            _ = try KernelImage(inspecting: path)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func releaseOfABzImage() throws {
        let text = "6.12.117+deb12-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP"
        let file = try scratch.write("vmlinuz", Sample.bzImage(text))
        #expect(try KernelImage(inspecting: file).release == "6.12.117+deb12-cloud-amd64")
    }

    @Test func bzImageWithoutAVersion() throws {
        for offset in [0, 0xffff] {
            let file = try scratch.write("bzImage", Sample.bzImage("", offset: offset))
            #expect(complaint(file)?.contains("names no version") == true)
        }
    }

    @Test func bzImageWithAnotherTextInThePlaceOfTheVersion() throws {
        let file = try scratch.write("bzImage", Sample.bzImage("memtest86+ v7.2"))
        #expect(complaint(file)?.contains("\"memtest86+\" in its boot header is no kernel version") == true)
    }

    @Test func releaseOfAVmlinux() throws {
        let file = try scratch.write("vmlinux", Sample.vmlinux(banner: "Linux version 6.18.0-rc3 (me@here) #1"))
        #expect(try KernelImage(inspecting: file).release == "6.18.0-rc3")
    }

    @Test func vmlinuxWithoutPVHIsRefusedBeforeQEMUDoes() throws {
        let banner = "Linux version 6.18.0 (me@here)"
        for sample in [Sample.vmlinux(banner: banner, noteType: 1), Sample.vmlinux(banner: banner, noteName: "GNU")] {
            let file = try scratch.write("vmlinux", sample)
            #expect(complaint(file)?.contains("no PVH entry (CONFIG_PVH)") == true)
        }
    }

    @Test func anotherProgramIsNoVmlinux() throws {
        let file = try scratch.write("program", Sample.vmlinux(banner: "GNU C Library"))
        #expect(complaint(file)?.contains("not a vmlinux") == true)
        let arm = try scratch.write("arm", Sample.vmlinux(banner: "Linux version 6.18.0", machine: 183))
        #expect(complaint(arm)?.contains("64-bit x86") == true)
    }

    @Test func aTruncatedVmlinuxIsRefusedAtEveryLength() throws {
        let whole = Sample.vmlinux(banner: "Linux version 6.18.0 (me@here) #1")
        for length in 0..<whole.count {
            let file = try scratch.write("vmlinux", whole.prefix(length))
            #expect(complaint(file) != nil, "of \(length) bytes")
        }
    }

    @Test func whatIsNoKernelIsSaid() throws {
        #expect(complaint(scratch.path.appending("absent"))?.contains("there is no such file") == true)
        #expect(complaint(scratch.path)?.contains("is a directory and not a kernel build tree") == true)
        #expect(complaint(try scratch.write("empty", ""))?.contains("is empty") == true)
        let noise = Data((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) })
        #expect(complaint(try scratch.write("noise", noise))?.contains("is not a kernel") == true)
        #expect(complaint(try scratch.write("short", "HdrS"))?.contains("is not a kernel") == true)
    }
}
