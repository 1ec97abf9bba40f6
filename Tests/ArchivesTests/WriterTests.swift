// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import Archives

@Suite struct WriterTests {
    private func bytes(_ path: FilePath) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: path.string))
    }

    @Test func theSameFailureIsTheSameBytes() throws {
        let (one, other) = (try Scratch(), try Scratch())
        let first = try Sample().write(one.path)
        var shuffled = try Sample()
        shuffled.contents.reverse()
        shuffled.manifest.parts = try ArchiveWriter.parts(shuffled.contents)
        let second = try shuffled.write(other.path)
        #expect(try bytes(first) == bytes(second))
        // Also written over an older one.
        try Sample().write(one.path)
        #expect(try bytes(first) == bytes(second))
        #expect(one.names() == ["bpftest-suite-case-6.12-0123456789ab.tar.zst"])
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.contents.append(ArchiveWriter.Content(ArchiveLayout.script, .bytes(Array("#!/bin/sh\n".utf8))))
        sample.contents.append(ArchiveWriter.Content("outputs/empty.txt", .bytes([])))
        sample.contents.append(
            ArchiveWriter.Content("guest/" + String(repeating: "long/", count: 5) + "x", .bytes([7])))
        sample.manifest.parts = try ArchiveWriter.parts(sample.contents)
        let reader = try ArchiveReader(try sample.write(scratch.path))
        #expect(reader.manifest == sample.manifest)
        let target = scratch.path.appending("unpacked")
        try reader.extract(to: target)
        for content in sample.contents {
            guard case .bytes(let expected) = content.source else { continue }
            #expect(try bytes(target.appending(content.path)) == Data(expected), "\(content.path)")
        }
        #expect(FileManager.default.isExecutableFile(atPath: target.appending("repro.sh").string))
        #expect(!FileManager.default.isExecutableFile(atPath: target.appending("guest/agent").string))
        // The manifest itself is known by then.
        #expect(
            scratch.names(in: "unpacked").filter { !$0.contains("/") } == [
                "boot", "guest", "outputs", "repro.sh",
            ])
    }

    /// Readers of version 1 read what they cannot misread.
    @Test func theVersionIsNoHigherThanNeeded() throws {
        for (allowed, version) in [(nil, 1), (["x"], 2)] as [([String]?, Int)] {
            let scratch = try Scratch()
            let sample = try Sample(allowed: allowed)
            let manifest = try ArchiveReader(try sample.write(scratch.path)).manifest
            #expect(manifest.version == version)
            #expect(manifest == sample.manifest)
        }
    }

    /// tar and zstd of the system, as a person without bpftest has them.
    @Test func otherToolsReadIt() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        let long = "guest/objects/" + String(repeating: "n", count: 90) + "/" + String(repeating: "m", count: 60)
        sample.contents.append(ArchiveWriter.Content(long, .bytes(Array("long".utf8))))
        sample.manifest.parts = try ArchiveWriter.parts(sample.contents)
        let path = try sample.write(scratch.path)
        let tool = Process()
        tool.executableURL = URL(fileURLWithPath: "/bin/sh")
        tool.arguments = ["-c", "zstd -dc \"$1\" | tar -x -C \"$2\"", "sh", path.string, scratch.path.string]
        try tool.run()
        tool.waitUntilExit()
        #expect(tool.terminationStatus == 0)
        let folder = scratch.path.appending(sample.manifest.name)
        #expect(try bytes(folder.appending(long)) == Data("long".utf8))
        #expect(try bytes(folder.appending("manifest.json")) == Data(sample.manifest.encoded()))
        let attributes = try FileManager.default.attributesOfItem(atPath: folder.appending("manifest.json").string)
        #expect(attributes[.modificationDate] as? Date == Date(timeIntervalSince1970: 0))
    }

    @Test func equalBytesAreStoredOnce() throws {
        let scratch = try Scratch()
        var generator = SystemRandomNumberGenerator()
        let noise = (0..<(1 << 20)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let padding = [UInt8](repeating: 0, count: 20 << 20)
        var sample = try Sample()
        sample.contents += [
            ArchiveWriter.Content("guest/one", .bytes(noise + padding)),
            ArchiveWriter.Content("guest/two", .bytes(noise)),
        ]
        sample.manifest.parts = try ArchiveWriter.parts(sample.contents)
        let size = try bytes(try sample.write(scratch.path)).count
        #expect(size < (1 << 20) * 5 / 4, "\(size)")
    }

    @Test func whatIsNotThereLeavesNothingBehind() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        let gone = scratch.path.appending("gone")
        sample.contents[0] = ArchiveWriter.Content(ArchiveLayout.kernel, .file(gone))
        let error = #expect(throws: ArchiveError.self) { try sample.write(scratch.path) }
        #expect("\(error as Any)".contains("gone"))
        #expect(scratch.names().isEmpty)
    }

    @Test func aFileThatChangesMeanwhile() throws {
        let scratch = try Scratch()
        let file = scratch.path.appending("kernel")
        try Data("one".utf8).write(to: URL(fileURLWithPath: file.string))
        var sample = try Sample()
        sample.contents[0] = ArchiveWriter.Content(ArchiveLayout.kernel, .file(file))
        sample.manifest.parts = try ArchiveWriter.parts(sample.contents)
        try Data("two".utf8).write(to: URL(fileURLWithPath: file.string))
        #expect(throws: ArchiveError.self) { try sample.write(scratch.path) }
        #expect(scratch.names() == ["kernel"])
    }

    @Test func aBundleHasTheSharedParts() throws {
        let scratch = try Scratch()
        let bundled = [ArchiveWriter.Content(ArchiveLayout.kernel, .bytes(Array("a kernel".utf8)))]
        let bundle = Manifest(format: Manifest.bundleFormat, name: "bundle", parts: try ArchiveWriter.parts(bundled))
        try ArchiveWriter.write(bundle, bundled, into: scratch.path)
        var sample = try Sample()
        sample.contents[0].isShared = true
        sample.manifest.bundle = "bundle"
        sample.manifest.parts = try ArchiveWriter.parts(sample.contents)
        let path = try sample.write(scratch.path)
        try ArchiveReader(path).extract(to: scratch.path.appending("unpacked"))
        #expect(try bytes(scratch.path.appending("unpacked/boot/vmlinuz")) == Data("a kernel".utf8))
        #expect(try bytes(scratch.path.appending("unpacked/guest/agent")).isEmpty == false)
    }
}

@Suite struct CpioTests {
    @Test func whatIsWrittenIsReadAgain() throws {
        var archive = CpioArchive([
            .init(path: "dev", mode: 0o040755), .init(path: "dev/console", mode: 0o020600, device: (5, 1)),
        ])
        archive.add(file: "etc/bpftest/job", mode: 0o644, Array("job\n".utf8))
        archive.add(files: [("etc/bpftest/files/run/agent", 0o755, [1, 2, 3]), ("etc/empty", 0o600, [])])
        #expect(try CpioArchive(decoding: archive.encoded(), name: "x") == archive)
        #expect(archive.entries.map(\.path).filter { $0 == "etc" }.count == 1)
    }

    @Test func anImageThatIsCutOffIsRefused() throws {
        var archive = CpioArchive()
        archive.add(file: "a", mode: 0o644, Array("content".utf8))
        let bytes = archive.encoded()
        for count in 0..<(bytes.count - 3) {
            #expect(throws: ArchiveError.self) { try CpioArchive(decoding: Array(bytes[..<count]), name: "x") }
        }
        #expect(throws: ArchiveError.self) { try CpioArchive(decoding: bytes + [1], name: "x") }
        var huge = bytes
        huge.replaceSubrange(54..<62, with: "FFFFFFFF".utf8)
        #expect(throws: ArchiveError.self) { try CpioArchive(decoding: huge, name: "x") }
        // Sizes with a sign; a name without the zero at its end, and one that is longer than all; no header at all.
        for (at, text) in [
            (54, "-0000007"), (54, "+0000007"), (94, "00000000"), (94, "FFFFFFFF"), (54, "0000000x"), (0, "070702"),
        ] {
            var wrong = bytes
            wrong.replaceSubrange(at..<(at + text.utf8.count), with: text.utf8)
            #expect(throws: ArchiveError.self, "\(text)") { try CpioArchive(decoding: wrong, name: "x") }
        }
    }
}
