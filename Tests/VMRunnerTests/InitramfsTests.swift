// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import VMRunner

struct InitramfsTests {
    private func sample() -> Data {
        var archive = Initramfs()
        archive.directory("proc")
        archive.characterDevice("dev/console", major: 5, minor: 1)
        archive.file("init", mode: 0o755, Data("#!/bin/true\n".utf8))
        archive.file("lib/modules/a.ko", mode: 0o644, Data([1, 2, 3]))
        archive.directory("lib/modules")
        return archive.finish()
    }

    @Test func theSameEntriesGiveTheSameBytes() {
        #expect(sample() == sample())
        #expect(sample().count % 4 == 0)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/cpio")))
    func cpioReadsIt() throws {
        let scratch = try Scratch()
        let file = try scratch.write("image.cpio", sample())
        let listing = try cpio(["-itv", "--numeric-uid-gid", "-F", file.string])
        let names = listing.split(separator: "\n").compactMap { $0.split(separator: " ").last }
        #expect(names == ["proc", "dev", "dev/console", "init", "lib", "lib/modules", "lib/modules/a.ko"])
        let modes = listing.split(separator: "\n").compactMap { $0.split(separator: " ").first }
        #expect(
            modes == [
                "drwxr-xr-x", "drwxr-xr-x", "crw-------", "-rwxr-xr-x", "drwxr-xr-x", "drwxr-xr-x", "-rw-r--r--",
            ])
        #expect(listing.contains("5,   1"))
        #expect(try cpio(["-i", "--to-stdout", "-F", file.string, "init"]) == "#!/bin/true\n")
    }

    private func cpio(_ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/cpio")
        process.arguments = ["--quiet"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: output, as: UTF8.self)
    }
}
