// SPDX-License-Identifier: Apache-2.0
import CArchive
import Foundation
import SystemPackage
import Testing

@testable import Archives

/// A folder that goes with the test.
final class Scratch {
    let path: FilePath

    init() throws {
        path = FilePath(NSTemporaryDirectory()).appending("bpftest-archives-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path.string)
    }

    /// Everything in it and below, but what the test itself put there.
    func names(in folder: String = "") -> [String] {
        let all = FileManager.default.enumerator(atPath: path.appending(folder).string)?.compactMap { $0 as? String }
        return (all ?? []).sorted()
    }
}

/// An archive as a run would write it, small.
struct Sample {
    var manifest: Manifest
    var contents: [ArchiveWriter.Content]

    static let files: [(String, String)] = [
        (ArchiveLayout.kernel, "a kernel"), (ArchiveLayout.guest, "a guest image"), (ArchiveLayout.job, "a job"),
        ("outputs/console.txt", "[    1.0] Linux\n"), ("guest/agent", String(repeating: "agent ", count: 200)),
    ]

    init(_ kind: Manifest.Judge.Kind = .result, allowed: [String]? = nil) throws {
        manifest = Manifest(name: "bpftest-suite-case-6.12-0123456789ab")
        manifest.failure = Manifest.Failure(
            suite: "suite", id: "case", title: "what it states", blame: "test", message: "it does not hold",
            expected: "0", observed: "EBUSY (16)")
        manifest.machine = Manifest.Machine(
            release: "6.12.117", memoryMiB: 256, cpus: 1, accelerator: "tcg", cards: [],
            commandLine: "console=ttyS0 panic=-1 oops=panic loglevel=5")
        manifest.calls = [
            Manifest.Call(
                arguments: ["/run/bpftest/agent", "run", "suite", "case"], environment: [], directory: "/tmp/1")
        ]
        manifest.judge = Manifest.Judge(kind: kind, watch: "case", seconds: 60, limit: 180, allowed: allowed)
        manifest.versions = ["bpftest": "0.3.0"]
        contents = Self.files.map { ArchiveWriter.Content($0.0, .bytes(Array($0.1.utf8))) }
        manifest.parts = try ArchiveWriter.parts(contents)
    }

    @discardableResult
    func write(_ folder: FilePath) throws -> FilePath {
        try ArchiveWriter.write(manifest, contents, into: folder)
    }
}

/// A tar archive as somebody else would make it, to break rules with.
struct RawTar {
    struct Entry {
        var name: String
        var type: Character = "0"
        var link = ""
        var content: [UInt8] = []
        /// Instead of the content's.
        var size: Int?
        /// Instead of a size in octal digits.
        var sizeField: String?
        var prefix = ""
        var magic = "ustar\0" + "00"
    }

    var entries: [Entry] = []
    var ending = [UInt8](repeating: 0, count: 1024)

    /// What a sample's archive has, entry by entry.
    init(_ sample: Sample, manifest: [UInt8]? = nil) {
        let name = sample.manifest.name
        entries.append(Entry(name: "\(name)/manifest.json", content: manifest ?? sample.manifest.encoded()))
        for part in sample.manifest.parts where part.shared != true {
            guard case .bytes(let bytes)? = sample.contents.first(where: { $0.path == part.path })?.source else {
                continue
            }
            entries.append(Entry(name: "\(name)/\(part.path)", content: bytes))
        }
    }

    var bytes: [UInt8] {
        entries.flatMap { entry -> [UInt8] in
            var block = [UInt8](repeating: 0, count: 512)
            func put(_ text: String, _ at: Int) { block.replaceSubrange(at..<(at + text.utf8.count), with: text.utf8) }
            put(entry.name, 0)
            put("0000644\0" + "0000000\0" + "0000000\0", 100)
            let size = String(entry.size ?? entry.content.count, radix: 8)
            put(entry.sizeField ?? String(repeating: "0", count: 11 - size.count) + size, 124)
            put("00000000000", 136)
            put(String(entry.type), 156)
            put(entry.link, 157)
            put(entry.magic, 257)
            put(entry.prefix, 345)
            put("        ", 148)
            let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
            put(String(repeating: "0", count: 6 - sum.count) + sum + "\0 ", 148)
            let padding = (512 - entry.content.count % 512) % 512
            return block + entry.content + [UInt8](repeating: 0, count: padding)
        } + ending
    }

    /// Compressed by the library directly.
    static func compressed(_ bytes: [UInt8]) -> [UInt8] {
        var room = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        let count = unsafe ZSTD_compress(&room, room.count, bytes, bytes.count, 3)
        return Array(room[..<count])
    }

    @discardableResult
    func write(_ folder: FilePath, cutAt count: Int? = nil, more: [UInt8] = []) throws -> FilePath {
        let path = folder.appending("foreign.tar.zst")
        let all = Self.compressed(bytes)
        try Data(all.prefix(count ?? all.count) + more).write(to: URL(fileURLWithPath: path.string))
        return path
    }
}
