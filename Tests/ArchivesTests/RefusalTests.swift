// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import Archives

/// An archive is somebody else's file. What is refused leaves nothing behind: the folder that it was to be unpacked into
/// does not even exist.
@Suite struct RefusalTests {
    /// Reads and unpacks, as replay does.
    private func expectRefused(
        _ path: FilePath, _ scratch: Scratch, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let target = scratch.path.appending("unpacked")
        let error = #expect(throws: ArchiveError.self, sourceLocation: sourceLocation) {
            try ArchiveReader(path).extract(to: target)
        }
        if case .refused(let text)? = error {
            for word in words { #expect(text.contains(word), "\(text)", sourceLocation: sourceLocation) }
        } else {
            Issue.record("it was not refused: \(error.map { "\($0)" } ?? "")", sourceLocation: sourceLocation)
        }
        #expect(!FileManager.default.fileExists(atPath: target.string), sourceLocation: sourceLocation)
        let others = scratch.names().filter { $0 != path.lastComponent?.string && $0 != "bundle" }
        #expect(others.isEmpty, "\(others)", sourceLocation: sourceLocation)
    }

    /// What is foreign about it is all that is refused.
    @Test func aForeignArchiveOfTheRightFormIsRead() throws {
        let scratch = try Scratch()
        let path = try RawTar(Sample()).write(scratch.path)
        try ArchiveReader(path).extract(to: scratch.path.appending("unpacked"))
        #expect(scratch.names(in: "unpacked").contains("boot/vmlinuz"))
    }

    private func tar(_ change: (inout RawTar) -> Void) throws -> RawTar {
        var tar = RawTar(try Sample())
        change(&tar)
        return tar
    }

    // MARK: Names

    @Test(arguments: [
        "/etc/passwd", "../outside", "bpftest-suite-case-6.12-0123456789ab/../../outside",
        "bpftest-suite-case-6.12-0123456789ab/guest/../../outside",
    ])
    func namesThatLeadOut(_ name: String) throws {
        let scratch = try Scratch()
        let path = try tar { $0.entries[2].name = name }.write(scratch.path)
        expectRefused(path, scratch, name.hasPrefix("/") ? "absolute" : "leads out")
    }

    @Test(arguments: [
        ("/manifest.json", "absolute"), ("../manifest.json", "leads out"), ("x/../manifest.json", "leads out"),
        ("manifest.json", "does not begin with a manifest"), ("a/b/manifest.json", "does not begin with a manifest"),
        ("bpftest-suite-case-6.12-0123456789ab/manifest.json/x", "does not begin with a manifest"),
        ("bpftest-suite-case-6.12-0123456789ab/manifest", "does not begin with a manifest"),
    ]) func namesOfTheManifestThatLeadOut(_ name: String, _ words: String) throws {
        let scratch = try Scratch()
        expectRefused(try tar { $0.entries[0].name = name }.write(scratch.path), scratch, words)
    }

    @Test func aFileBesideTheFolder() throws {
        let scratch = try Scratch()
        expectRefused(try tar { $0.entries[2].name = "boot/vmlinuz" }.write(scratch.path), scratch, "is no name that")
    }

    @Test(arguments: [
        "evil.sh", ".bashrc", "guest/.hidden", "guest/", "guest//agent", "other/file", "boot/grub.cfg", "guest/a b",
        "guest/a;reboot", "guest/-rf", "guest/\u{1b}[2J", "guest/a/b/c/d/e/f/g/h/i", "guest",
        "guest/" + String(repeating: "n", count: 121),
        "guest" + String(repeating: "/" + String(repeating: "n", count: 65), count: 3),
    ])
    func namesThatAreNotOfTheLayout(_ name: String) throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts[3].path = name
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "is no name that an archive")
        #expect(!ArchiveLayout.allows(name))
    }

    /// The manifest's own names are checked before anything is read.
    @Test(arguments: ["/etc/passwd", "../outside", "guest/../../outside"])
    func namesInTheManifestThatLeadOut(_ name: String) throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts[3].path = name
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "manifest.json: ")
    }

    @Test func aFolderThatTheManifestDoesNotName() throws {
        let scratch = try Scratch()
        expectRefused(
            try tar { tar in
                for index in tar.entries.indices {
                    tar.entries[index].name = tar.entries[index].name.replacing("-0123456789ab/", with: "-other/")
                }
            }.write(scratch.path), scratch, "its folder is")
    }

    @Test func aLongPrefixThatLeadsOut() throws {
        let scratch = try Scratch()
        expectRefused(try tar { $0.entries[2].prefix = "../.." }.write(scratch.path), scratch, "leads out")
    }

    // MARK: What is no plain file

    @Test(arguments: [
        ("1", "a hard link"), ("2", "a symbolic link"), ("3", "a character device"), ("4", "a block device"),
        ("5", "a directory"), ("6", "a fifo"), ("x", "pax"), ("g", "pax"), ("L", "type 76"), ("S", "type 83"),
    ])
    func everythingButPlainFiles(_ type: String, _ word: String) throws {
        let scratch = try Scratch()
        let path = try tar { tar in
            tar.entries[2].type = Character(type)
            tar.entries[2].link = "/etc/passwd"
        }.write(scratch.path)
        expectRefused(path, scratch, word)
    }

    @Test func linksBesideTheKnownFiles() throws {
        let scratch = try Scratch()
        let path = try tar { tar in
            tar.entries.append(RawTar.Entry(name: "guest", type: "2", link: "/etc"))
        }.write(scratch.path)
        expectRefused(path, scratch, "a symbolic link")
    }

    /// GNU tar's own form, and that of before 1988.
    @Test(arguments: ["ustar  \0", "", "ustar\0" + "01"])
    func headersOfOtherFormsOfTar(_ magic: String) throws {
        let scratch = try Scratch()
        for index in [0, 2] {
            expectRefused(
                try tar { $0.entries[index].magic = magic }.write(scratch.path), scratch, "is no tar archive as")
        }
    }

    /// Nor sizes in GNU's binary form.
    @Test(arguments: ["-1", "12345678", "0x10", "\u{7f}\0\0\0", "           "])
    func sizesThatMakeNoSense(_ field: String) throws {
        let scratch = try Scratch()
        expectRefused(
            try tar { $0.entries[2].sizeField = field }.write(scratch.path), scratch, "has no size that makes sense")
    }

    @Test func anArchiveThatIsAFifoOrAFolder() throws {
        let scratch = try Scratch()
        let fifo = scratch.path.appending("fifo")
        let made = unsafe mkfifo(fifo.string, 0o600)
        #expect(made == 0)
        expectRefused(fifo, scratch, "is no file")
        #expect(throws: ArchiveError.refused("\(scratch.path) is no file")) { try ArchiveReader(scratch.path) }
    }

    // MARK: Twice, too much, too few

    @Test func aFileThatIsInItTwice() throws {
        let scratch = try Scratch()
        expectRefused(
            try tar { tar in tar.entries.append(tar.entries[1]) }.write(scratch.path), scratch, "is in it twice")
    }

    @Test func aFileThatIsInItTwiceInPlaceOfAnother() throws {
        let scratch = try Scratch()
        expectRefused(
            try tar { tar in tar.entries[2] = tar.entries[1] }.write(scratch.path), scratch, "is in it twice")
    }

    @Test func aPartThatTheManifestHasTwice() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts.append(sample.manifest.parts[0])
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "is in it twice")
    }

    @Test func aManifestAmongItsParts() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts[3].path = ArchiveLayout.manifest
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "is in it twice")
    }

    @Test func aSecondManifest() throws {
        let scratch = try Scratch()
        expectRefused(
            try tar { tar in tar.entries.append(tar.entries[0]) }.write(scratch.path), scratch, "is in it twice")
    }

    @Test func aFileThatTheManifestDoesNotHave() throws {
        let scratch = try Scratch()
        expectRefused(
            try tar { tar in
                tar.entries.append(RawTar.Entry(name: "bpftest-suite-case-6.12-0123456789ab/guest/more", content: [1]))
            }.write(scratch.path), scratch, "is not in the manifest")
    }

    @Test func aFileThatIsMissing() throws {
        let scratch = try Scratch()
        expectRefused(try tar { $0.entries.removeLast() }.write(scratch.path), scratch, "is missing")
        expectRefused(
            try tar { $0.entries.remove(at: 1) }.write(scratch.path), scratch, "is due")
    }

    @Test(arguments: [ArchiveLayout.kernel, ArchiveLayout.guest, ArchiveLayout.job])
    func anArchiveThatCannotBeRun(_ path: String) throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts.removeAll { $0.path == path }
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "\(path) is missing")
    }

    // MARK: Contents

    @Test func anotherContentThanTheManifestSays() throws {
        let scratch = try Scratch()
        for index in 1..<RawTar(try Sample()).entries.count {
            expectRefused(
                try tar { $0.entries[index].content[0] ^= 1 }.write(scratch.path), scratch, "SHA-256 differs")
        }
    }

    @Test func anotherSizeThanTheManifestSays() throws {
        let scratch = try Scratch()
        expectRefused(
            try tar { $0.entries[2].content.append(1) }.write(scratch.path), scratch, "by the manifest")
        expectRefused(try tar { $0.entries[2].size = 1 << 32 }.write(scratch.path), scratch, "by the manifest")
    }

    @Test func somethingBetweenTheFiles() throws {
        let scratch = try Scratch()
        let tar = RawTar(try Sample())
        let headers = tar.bytes.ranges(of: Array("bpftest-suite-case-6.12-0123456789ab/".utf8)).map(\.lowerBound)
            .filter { $0 > 0 && $0 % 512 == 0 }
        #expect(headers.count == tar.entries.count - 1)
        for header in headers {
            // The last byte of the padding in front of it.
            var bytes = tar.bytes
            bytes[header - 1] = 1
            let path = scratch.path.appending("foreign.tar.zst")
            try Data(RawTar.compressed(bytes)).write(to: URL(fileURLWithPath: path.string))
            expectRefused(path, scratch, "between its files")
        }
    }

    @Test func aHeaderThatIsDamaged() throws {
        let scratch = try Scratch()
        var bytes = RawTar(try Sample()).bytes
        bytes[0] ^= 1
        let path = scratch.path.appending("foreign.tar.zst")
        try Data(RawTar.compressed(bytes)).write(to: URL(fileURLWithPath: path.string))
        expectRefused(path, scratch, "checksum of a header")
    }

    // MARK: Truncated, too long, no archive at all

    /// Cut off anywhere: in the compressed data, and in what it holds.
    @Test func anArchiveThatIsCutOff() throws {
        let scratch = try Scratch()
        let tar = RawTar(try Sample())
        let whole = RawTar.compressed(tar.bytes).count
        for count in stride(from: 0, to: whole, by: 7) {
            expectRefused(try tar.write(scratch.path, cutAt: count), scratch)
        }
        let bytes = tar.bytes
        let path = scratch.path.appending("foreign.tar.zst")
        for count in stride(from: 0, to: bytes.count, by: 100) {
            try Data(RawTar.compressed(Array(bytes[..<count]))).write(to: URL(fileURLWithPath: path.string))
            expectRefused(path, scratch)
        }
    }

    @Test func anArchiveThatGoesOnBehindItsEnd() throws {
        let scratch = try Scratch()
        expectRefused(try RawTar(try Sample()).write(scratch.path, more: [0]), scratch, "goes on behind its end")
        let second = RawTar.compressed(Array("more".utf8))
        expectRefused(try RawTar(try Sample()).write(scratch.path, more: second), scratch, "goes on behind its end")
        var tar = RawTar(try Sample())
        tar.ending += [UInt8](repeating: 0, count: 512)
        expectRefused(try tar.write(scratch.path), scratch, "goes on behind its end")
        // A single byte comes with the end of the compressed data: nothing of that is left then.
        tar.ending = [UInt8](repeating: 0, count: 1025)
        expectRefused(try tar.write(scratch.path), scratch, "goes on behind its end")
        tar.ending = [UInt8](repeating: 0, count: 1023) + [1]
        expectRefused(try tar.write(scratch.path), scratch, "goes on behind its end")
    }

    /// More than is read of a file at once, so that most of it has been passed when its end is looked at.
    @Test func aLargeArchiveThatGoesOnBehindItsEnd() throws {
        let scratch = try Scratch()
        var state: UInt64 = 1
        let noise = (0..<(300 << 10)).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(state >> 56)
        }
        var sample = try Sample()
        sample.contents.append(ArchiveWriter.Content("guest/noise", .bytes(noise)))
        sample.manifest.parts = try ArchiveWriter.parts(sample.contents)
        let tar = RawTar(sample)
        #expect(try ArchiveReader(try tar.write(scratch.path)).manifest == sample.manifest)
        let path = try tar.write(scratch.path, more: [UInt8](repeating: 0, count: 300 << 10))
        expectRefused(path, scratch, "goes on behind its end")
    }

    @Test(arguments: ["", "hello", String(repeating: "x", count: 5000)])
    func whatIsNoArchive(_ text: String) throws {
        let scratch = try Scratch()
        let path = scratch.path.appending("foreign.tar.zst")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path.string))
        expectRefused(path, scratch)
        try Data(RawTar.compressed(Array(text.utf8))).write(to: URL(fileURLWithPath: path.string))
        expectRefused(path, scratch)
    }

    /// Each byte of an archive changed, one at a time: read as it was, or refused, and never anything else.
    @Test func anyDamagedByte() throws {
        let scratch = try Scratch()
        let sample = try Sample()
        let whole = try Data(contentsOf: URL(fileURLWithPath: try sample.write(scratch.path).string))
        let path = scratch.path.appending("foreign.tar.zst")
        var refused = 0
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 0x41
            try damaged.write(to: URL(fileURLWithPath: path.string))
            do {
                #expect(try ArchiveReader(path).manifest == sample.manifest)
            } catch {
                refused += 1
            }
        }
        #expect(refused > whole.count * 9 / 10)
    }

    // MARK: Bombs

    /// 2 GiB of zeros in some 60 KiB.
    @Test func aBombThatTheManifestAnnounces() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts[1].size = 2 << 30
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "bytes that are to become")
    }

    @Test func aBombThatTheManifestDoesNotAnnounce() throws {
        let scratch = try Scratch()
        let zeros = [UInt8](repeating: 0, count: 64 << 20)
        expectRefused(try tar { $0.entries[2].content = zeros }.write(scratch.path), scratch, "by the manifest")
        expectRefused(
            try tar { $0.entries[0].content = zeros }.write(scratch.path), scratch, "a manifest of 67108864 bytes")
        var tar = RawTar(try Sample())
        tar.ending += zeros
        expectRefused(try tar.write(scratch.path), scratch, "goes on behind its end")
    }

    @Test(arguments: [-1, 5 << 30, Int.max])
    func aPartThatIsTooLarge(_ size: Int) throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts[1].size = size
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "are the limit")
    }

    @Test func partsThatAreTooLargeTogether() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        for index in 0..<3 { sample.manifest.parts[index].size = 4 << 30 }
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "all parts have")
    }

    @Test func tooManyParts() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        for number in 0..<10_000 {
            var part = sample.manifest.parts[0]
            part.path = "guest/\(number)"
            sample.manifest.parts.append(part)
        }
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "parts")
    }

    /// A window of 2 GiB is memory that a reader must have.
    @Test func aWindowThatTakesTooMuchMemory() throws {
        let scratch = try Scratch()
        // The header of a frame without its content's size (RFC 8878, 3.1.1.1): window 2^(10+21).
        let frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 1, 0, 0]
        let path = scratch.path.appending("foreign.tar.zst")
        try Data(frame).write(to: URL(fileURLWithPath: path.string))
        expectRefused(path, scratch, "requires too much memory")
    }

    // MARK: The manifest

    private func manifest(_ change: (inout [String: Any]) -> Void) throws -> RawTar {
        let sample = try Sample()
        let text = Data(sample.manifest.encoded())
        var object = try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
        change(&object)
        return RawTar(sample, manifest: Array(try JSONSerialization.data(withJSONObject: object)))
    }

    @Test func versionsThatAreUnknown() throws {
        let scratch = try Scratch()
        expectRefused(
            try manifest { $0["version"] = 3 }.write(scratch.path), scratch, "version 3", "a newer bpftest wrote it")
        expectRefused(try manifest { $0["version"] = 0 }.write(scratch.path), scratch, "version 0")
        expectRefused(try manifest { $0["version"] = "1" }.write(scratch.path), scratch, "is no manifest")
        // What a later version calls otherwise does not hide that it is one.
        expectRefused(
            try manifest { $0 = ["format": "bpftest-archive", "version": 7] }.write(scratch.path), scratch, "version 7")
    }

    private func judged(by allowed: Any, version: Int = 2) throws -> RawTar {
        try manifest { object in
            var judge = object["judge"] as? [String: Any] ?? [:]
            judge["allowed"] = allowed
            object["judge"] = judge
            object["version"] = version
        }
    }

    /// What an older reader would pass over, and take for a failure.
    @Test func whatIsNotOfItsVersion() throws {
        let scratch = try Scratch()
        expectRefused(try judged(by: ["x"], version: 1).write(scratch.path), scratch, "allowed is of version 2")
        #expect(try ArchiveReader(try judged(by: ["x"]).write(scratch.path)).manifest.judge?.allowed == ["x"])
    }

    @Test func keysThatAreUnknownArePassedOver() throws {
        let scratch = try Scratch()
        let path = try manifest { $0["colour"] = "green" }.write(scratch.path)
        #expect(try ArchiveReader(path).manifest == Sample().manifest)
    }

    @Test(
        arguments: [
            ("(", "cannot be used"), (".*", "allows everything"), ("# x", "is a comment"), ("", "is a comment"),
            ("a\nb", "other characters"), ("\u{e9}", "other characters"), ("\u{0}", "other characters"),
            (String(repeating: "x", count: 501), "more than 500 bytes"), ("x{1001}", "repeats more"),
            ("((((x{1,255}){1,255}){1,255}){1,255}){1,255}", "repeats more"), ("{40}{40}", "repeats more"),
            ("x{1,32768}", "repeats more"), ("x{2}y{9223372036854775807}", "repeats more"),
            ("x{99999999999999999999}", "cannot be used"),
            ("(a*)*\\1", "refers back"), ("\\\\\\1", "refers back"),
        ]) func expressionsThatCostTooMuch(_ pattern: String, _ words: String) throws
    {
        let scratch = try Scratch()
        expectRefused(try judged(by: ["x", pattern]).write(scratch.path), scratch, "allowed: '", words)
        #expect(AllowedComplaints.problem(pattern)?.contains(words) == true)
    }

    @Test func expressionsThatAreUsed() {
        for pattern in ["at mm/x\\.c:[0-9]+ f\\+0x", "[a-z]{1,1000}", "(a|b){2}c{3,4}", "\\\\1"] {
            #expect(AllowedComplaints.problem(pattern) == nil, "\(pattern)")
        }
        var left: [String] = []
        let usable = AllowedComplaints.usable(["x", "(", "x", "y"]) { left.append("\($0): \($1)") }
        #expect(usable == ["x", "y"])
        #expect(left.count == 1 && left[0].hasPrefix("(: cannot be used: "), "\(left)")
        #expect(AllowedComplaints.usable([]) { _, _ in } == nil)
        var more = 0
        #expect(AllowedComplaints.usable((0..<203).map { "x\($0)" }) { _, _ in more += 1 }?.count == 200)
        #expect(more == 3)
    }

    @Test func tooManyExpressionsOrNone() throws {
        let scratch = try Scratch()
        expectRefused(
            try judged(by: Array(repeating: "x", count: 201)).write(scratch.path), scratch, "201 expressions")
        expectRefused(try judged(by: [String]()).write(scratch.path), scratch, "allowed has 0 expressions")
        expectRefused(try judged(by: "x").write(scratch.path), scratch, "is no manifest")
    }

    @Test func otherFormats() throws {
        let scratch = try Scratch()
        expectRefused(try manifest { $0["format"] = "tarball" }.write(scratch.path), scratch, "is a tarball")
        expectRefused(
            try manifest { $0["format"] = "bpftest-bundle" }.write(scratch.path), scratch, "not a bpftest-archive")
    }

    @Test(arguments: ["parts", "name", "machine", "judge", "failure", "calls", "versions"])
    func manifestsThatLackSomething(_ key: String) throws {
        let scratch = try Scratch()
        expectRefused(try manifest { $0[key] = nil }.write(scratch.path), scratch, "manifest.json")
    }

    @Test(arguments: [
        ("memoryMiB", "1"), ("memoryMiB", "99999999"), ("cpus", "0"), ("cpus", "4096"),
        ("accelerator", "\"tcg,plugin=/tmp/evil.so\""), ("commandLine", "\"a\\nb\""), ("commandLine", "\"\\u001b[2J\""),
        ("cards", "[\"e1000e,romfile=/etc/shadow\"]"),
    ])
    func machinesThatNobodyHas(_ key: String, _ json: String) throws {
        let scratch = try Scratch()
        let value = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
        let path = try manifest { object in
            var machine = object["machine"] as? [String: Any] ?? [:]
            machine[key] = value
            object["machine"] = machine
        }.write(scratch.path)
        expectRefused(path, scratch, key)
    }

    @Test(arguments: ["seconds", "limit"], [0, -1, 1_000_001])
    func limitsThatNobodyWaitsFor(_ key: String, _ value: Int) throws {
        let scratch = try Scratch()
        let path = try manifest { object in
            var judge = object["judge"] as? [String: Any] ?? [:]
            judge[key] = value
            object["judge"] = judge
        }.write(scratch.path)
        expectRefused(path, scratch, "\(key) is \(value)")
    }

    @Test func moreCardsThanAMachineHas() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.machine?.cards = Array(repeating: "e1000e", count: 17)
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "cards")
    }

    @Test func aCommandLineThatIsTooLong() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.machine?.commandLine = String(repeating: "x", count: 2048)
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "commandLine")
    }

    @Test(arguments: ["a/b", "..", ".x", "-x", "", "a b"])
    func archivesWithoutAPlainName(_ name: String) throws {
        let scratch = try Scratch()
        expectRefused(try manifest { $0["name"] = name }.write(scratch.path), scratch, "name is no plain word")
    }

    @Test func sumsThatAreNone() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        for sum in ["abc", String(repeating: "A", count: 64), String(repeating: "0", count: 65)] {
            sample.manifest.parts[0].sha256 = sum
            expectRefused(try RawTar(sample).write(scratch.path), scratch, "has no SHA-256")
        }
    }

    /// JSON that is nested without end.
    @Test func aManifestThatIsDeep() throws {
        let scratch = try Scratch()
        let text = Array(String(repeating: "[", count: 1_000_000).utf8)
        expectRefused(try RawTar(try Sample(), manifest: text).write(scratch.path), scratch, "is no manifest")
    }

    // MARK: Bundles

    @Test func aBundleThatIsNotThere() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.bundle = "bpftest-bundle-1"
        sample.manifest.parts[0].shared = true
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "needs bpftest-bundle-1.tar.zst beside it")
    }

    @Test(arguments: ["../bundle", "/bundle", "a/b"])
    func aBundleSomewhereElse(_ name: String) throws {
        let scratch = try Scratch()
        expectRefused(try manifest { $0["bundle"] = name }.write(scratch.path), scratch, "bundle is no plain word")
    }

    @Test func aSharedPartWithoutABundle() throws {
        let scratch = try Scratch()
        var sample = try Sample()
        sample.manifest.parts[0].shared = true
        expectRefused(try RawTar(sample).write(scratch.path), scratch, "there is no bundle")
    }

    @Test func aBundleWithAnotherContent() throws {
        let scratch = try Scratch()
        let contents = [ArchiveWriter.Content(ArchiveLayout.kernel, .bytes(Array("another".utf8)))]
        let parts = try ArchiveWriter.parts(contents)
        let bundle = Manifest(format: Manifest.bundleFormat, name: "bundle", parts: parts)
        let folder = scratch.path.appending("bundle")
        try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: false)
        try ArchiveWriter.write(bundle, contents, into: folder)
        var sample = try Sample()
        sample.manifest.bundle = "bundle"
        let index = try #require(sample.manifest.parts.firstIndex { $0.path == ArchiveLayout.kernel })
        sample.manifest.parts[index].shared = true
        let path = try RawTar(sample).write(scratch.path)
        let target = scratch.path.appending("unpacked")
        let error = #expect(throws: ArchiveError.self) {
            try ArchiveReader(path).extract(to: target, bundle: folder.appending("bundle.tar.zst"))
        }
        #expect("\(error as Any)".contains("it does not have the boot/vmlinuz"))
        #expect(!FileManager.default.fileExists(atPath: target.string))
    }

    // MARK: While it is unpacked

    /// A folder that exists could hold links: it is not written into.
    @Test func aFolderThatExists() throws {
        let scratch = try Scratch()
        let path = try Sample().write(scratch.path)
        let error = #expect(throws: ArchiveError.self) { try ArchiveReader(path).extract(to: scratch.path) }
        #expect("\(error as Any)".contains("cannot be made"))
        #expect(scratch.names() == [path.lastComponent?.string ?? ""])
    }

    /// Somebody who may write to the folder puts links where the next files go.
    @Test func linksThatComeMeanwhile() throws {
        let scratch = try Scratch()
        let outside = scratch.path.appending("outside")
        // One that leads somewhere, and one that does not.
        try FileManager.default.createDirectory(
            atPath: outside.appending("guest").string, withIntermediateDirectories: true)
        let target = scratch.path.appending("unpacked")
        let folder = try FreshFolder(target)
        for (link, name) in [("guest", "guest/agent"), ("repro.sh", "repro.sh")] {
            try FileManager.default.createSymbolicLink(
                atPath: target.appending(link).string, withDestinationPath: outside.appending(link).string)
            #expect(throws: ArchiveError.self) { try folder.create(name, isExecutable: false) }
        }
        // Opened for reading it would wait for its writer.
        let made = unsafe mkfifo(target.appending("sources").string, 0o600)
        #expect(made == 0)
        #expect(throws: ArchiveError.self) { try folder.create("sources/x.c", isExecutable: false) }
        let away = scratch.path.appending("away")
        try FileManager.default.moveItem(atPath: target.string, toPath: away.string)
        try FileManager.default.createSymbolicLink(atPath: target.string, withDestinationPath: outside.string)
        try folder.create("boot/config", isExecutable: false)
        #expect(scratch.names(in: "outside") == ["guest"])
        #expect(scratch.names(in: "away").contains("boot/config"))
    }

    /// What is checked is what is unpacked.
    @Test func anArchiveThatChangesAfterItWasChecked() throws {
        let scratch = try Scratch()
        let path = try RawTar(try Sample()).write(scratch.path)
        let reader = try ArchiveReader(path)
        var other = try Sample()
        other.contents[0] = ArchiveWriter.Content(ArchiveLayout.kernel, .bytes(Array("b kernel".utf8)))
        other.manifest.parts = try ArchiveWriter.parts(other.contents)
        // In place: the reader has the file open.
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path.string))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: RawTar.compressed(RawTar(other).bytes))
        try file.close()
        let target = scratch.path.appending("unpacked")
        let error = #expect(throws: ArchiveError.self) { try reader.extract(to: target) }
        #expect("\(error as Any)".contains("changed while it was read"))
        #expect(!FileManager.default.fileExists(atPath: target.string))
    }
}
