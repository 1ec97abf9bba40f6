// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import Harness
@testable import VMRunner

/// A folder for a test's files.
private struct Scratch {
    let path: String

    init() throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("bpftest-programs-\(UUID().uuidString)").string
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // $ORIGIN is a real path.
        path = try FilePath(folder).resolvingLinks()
    }

    func write(_ name: String, _ data: Data, mode: Int = 0o755) throws -> String {
        let file = "\(path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: FilePath(file).removingLastComponent().string, withIntermediateDirectories: true)
        try data.write(to: URL(fileURLWithPath: file))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
        return file
    }

    func remove() {
        // Left-overs are swept with the system's temporary files.
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// A 64-bit ELF file with the given dynamic section, as small as can be.
private func elf(
    machine: UInt16 = 62, interpreter: String? = nil, needed: [String] = [], rpath: String? = nil,
    runpath: String? = nil
) -> Data {
    var strings = Data([0])
    func text(_ value: String) -> UInt64 {
        defer { strings += Data(value.utf8) + [0] }
        return UInt64(strings.count)
    }
    var entries: [(UInt64, UInt64)] = needed.map { (1, text($0)) }
    if let rpath { entries.append((15, text(rpath))) }
    if let runpath { entries.append((29, text(runpath))) }
    func bytes<Number: FixedWidthInteger>(_ number: Number) -> Data {
        unsafe withUnsafeBytes(of: number.littleEndian) { unsafe Data($0) }
    }
    let loader = interpreter.map { Data($0.utf8) + [0] } ?? Data()
    let count = interpreter == nil ? 2 : 3
    let base = 64 + count * 56
    // Loaded at another address than its place in the file.
    let shift: UInt64 = 0x1000
    let dynamicAt = base + loader.count
    let stringsAt = dynamicAt + (entries.count + 2) * 16
    entries += [(5, UInt64(stringsAt) + shift), (0, 0)]
    let end = stringsAt + strings.count
    var data = Data([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]) + Data(count: 8)
    data += bytes(UInt16(3)) + bytes(machine) + bytes(UInt32(1)) + bytes(UInt64(0)) + bytes(UInt64(64))
    data += bytes(UInt64(0)) + bytes(UInt32(0)) + bytes(UInt16(64)) + bytes(UInt16(56)) + bytes(UInt16(count))
    data += bytes(UInt16(0)) + bytes(UInt16(0)) + bytes(UInt16(0))
    func segment(_ type: UInt32, _ at: Int, _ size: Int) -> Data {
        bytes(type) + bytes(UInt32(5)) + bytes(UInt64(at)) + bytes(UInt64(at) + shift) + bytes(UInt64(at) + shift)
            + bytes(UInt64(size)) + bytes(UInt64(size)) + bytes(UInt64(1))
    }
    data += segment(1, 0, end) + segment(2, dynamicAt, entries.count * 16)
    if interpreter != nil { data += segment(3, base, loader.count) }
    data += loader
    for (tag, value) in entries { data += bytes(tag) + bytes(value) }
    return data + strings
}

@Suite struct ELFProgramTests {
    @Test func theDynamicSectionIsRead() throws {
        let data = elf(interpreter: "/lib/ld.so", needed: ["liba.so", "libb.so.2"], rpath: "/old:/older")
        let program = try #require(ELFProgram(data))
        #expect(program.interpreter == "/lib/ld.so")
        #expect(program.needed == ["liba.so", "libb.so.2"])
        #expect(program.rpath == ["/old", "/older"])
        #expect(program.machine == 62 && program.is64Bit)
        let both = try #require(ELFProgram(elf(rpath: "/old", runpath: "$ORIGIN/lib")))
        #expect(both.runpath == ["$ORIGIN/lib"])
        #expect(both.rpath.isEmpty, "a runpath takes the place of an rpath")
    }

    /// Whatever is missing or wrong, nothing outside of the file is read.
    @Test func brokenFilesAreReadWithoutHarm() {
        let data = elf(interpreter: "/lib/ld.so", needed: ["liba.so"], runpath: "/x")
        for length in 0..<data.count { _ = ELFProgram(data.prefix(length)) }
        for index in data.indices {
            var broken = data
            broken[index] = 0xff
            _ = ELFProgram(broken)
        }
        #expect(ELFProgram(Data("#!/bin/sh\n".utf8)) == nil)
    }

    @Test func realProgramsAreRead() throws {
        let list = try #require(ELFProgram(FilePath("/bin/ls")))
        #expect(list.interpreter?.hasPrefix("/lib") == true)
        #expect(list.needed.contains("libc.so.6"))
        // Debian's is static.
        let configure = try #require(ELFProgram(FilePath("/sbin/ldconfig")))
        #expect(configure.interpreter == nil && configure.needed.isEmpty)
    }
}

@Suite struct ProgramClosureTests {
    private let search = LibrarySearch(cache: [:])

    @Test func aDynamicProgramComesWithItsLoaderAndLibraries() async throws {
        var closure = try await ProgramClosure(environment: [:])
        #expect(try closure.add(program: "/bin/ls") == "/bin/ls")
        let paths = closure.files.map(\.path)
        #expect(paths.contains { $0.hasSuffix("/ld-linux-x86-64.so.2") })
        #expect(paths.contains { $0.hasSuffix("/libc.so.6") })
        #expect(paths.contains("/etc/ld.so.cache"))
        #expect(paths.contains { $0.hasSuffix("/libgcc_s.so.1") }, "glibc opens it by itself")
        // What it needs is needed by what it needs: libselinux wants libpcre2.
        if paths.contains(where: { $0.contains("libselinux") }) {
            #expect(paths.contains { $0.contains("libpcre2") })
        }
        #expect(Set(paths).count == paths.count, "each once")
        #expect(closure.files.allSatisfy { $0.path == "/etc/ld.so.cache" || $0.mode == 0o755 })
        #expect(closure.size > 1 << 20)
    }

    @Test func aStaticProgramComesAlone() async throws {
        var closure = try await ProgramClosure(environment: [:])
        _ = try closure.add(program: "/sbin/ldconfig")
        #expect(closure.files.map(\.path) == ["/sbin/ldconfig"])
    }

    @Test func theLoadersCacheIsRead() {
        let text = """
            2 libs found in cache `/etc/ld.so.cache'
            \tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1
            \tlibz.so.1 (libc6) => /lib/i386-linux-gnu/libz.so.1
            Cache generated by: ldconfig
            """
        let paths = ["/lib/x86_64-linux-gnu/libz.so.1", "/lib/i386-linux-gnu/libz.so.1"]
        #expect(LibrarySearch.parse(text) == ["libz.so.1": paths])
    }

    /// $ORIGIN, links to the program, libraries of libraries, libraries for other machines.
    @Test func searchPathsAreFollowed() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let loader = try scratch.write("ld.so", elf())
        let program = try scratch.write(
            "opt/bin/tool", elf(interpreter: loader, needed: ["liba.so"], runpath: "$ORIGIN/../foreign:$ORIGIN/../lib"))
        _ = try scratch.write("opt/foreign/liba.so", elf(machine: 183))
        _ = try scratch.write("opt/lib/liba.so", elf(needed: ["libb.so"], runpath: "${ORIGIN}/deep"))
        _ = try scratch.write("opt/lib/deep/libb.so", elf(needed: ["liba.so"]))
        let link = "\(scratch.path)/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: program)

        var closure = ProgramClosure(search: search, environment: [:])
        #expect(try closure.add(program: FilePath(program)) == program)
        let lib = "\(scratch.path)/opt/bin/../lib"
        var paths = Set(closure.files.map(\.path))
        paths.remove("/etc/ld.so.cache")
        #expect(paths == [program, loader, "\(lib)/liba.so", "\(lib)/deep/libb.so"])

        // In the guest there is no link: its $ORIGIN is where it stands there.
        var linked = ProgramClosure(search: search, environment: [:])
        #expect(try linked.add(program: FilePath(link)) == link)
        let moved = linked.files.first { $0.path.hasSuffix("liba.so") }
        #expect(moved?.path == "\(scratch.path)/../lib/liba.so")
        #expect(moved?.source.description == "\(lib)/liba.so")
    }

    @Test func anOldSearchPathHoldsForLibrariesToo() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let loader = try scratch.write("ld.so", elf())
        _ = try scratch.write("lib/liba.so", elf(needed: ["libb.so"]))
        _ = try scratch.write("lib/libb.so", elf())
        let old = try scratch.write("old", elf(interpreter: loader, needed: ["liba.so"], rpath: "\(scratch.path)/lib"))
        let new = try scratch.write(
            "new", elf(interpreter: loader, needed: ["liba.so"], runpath: "\(scratch.path)/lib"))
        var closure = ProgramClosure(search: search, environment: [:])
        _ = try closure.add(program: FilePath(old))
        #expect(closure.files.contains { $0.path.hasSuffix("libb.so") })
        var other = ProgramClosure(search: search, environment: [:])
        let error = #expect(throws: HarnessError.self) { try other.add(program: FilePath(new)) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("liba.so needs libb.so, which is not on this machine"))
    }

    @Test func aScriptComesWithItsInterpreter() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let script = try scratch.write("test.sh", Data("#! /bin/sh -e\necho\n".utf8))
        var closure = try await ProgramClosure(environment: [:])
        _ = try closure.add(program: FilePath(script))
        let paths = closure.files.map(\.path)
        #expect(paths.first == script)
        #expect(paths.contains("/bin/sh") && paths.contains { $0.hasSuffix("/libc.so.6") })

        let interpreter = try scratch.write("tools/mine", elf())
        let other = try scratch.write("other", Data("#!/usr/bin/env -S mine -u\n".utf8))
        var behind = try await ProgramClosure(environment: ["PATH": "/nowhere:\(scratch.path)/tools"])
        _ = try behind.add(program: FilePath(other))
        #expect(behind.files.contains { $0.path == interpreter } && behind.files.contains { $0.path == "/usr/bin/env" })
        #expect(behind.folders == ["\(scratch.path)/tools"])
        let environment = ProgramCall.environment(folders: behind.folders, settings: ["TERM=vt100", "A=b=c"])
        #expect(environment[0].hasSuffix(":/bin:\(scratch.path)/tools"))
        #expect(environment.dropFirst() == ["HOME=/tmp", "TERM=vt100", "A=b=c"])
    }

    @Test func whatCannotRunIsSaidWithItsReason() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let plain = try scratch.write("plain", Data("hello\n".utf8))
        let closed = try scratch.write("closed", elf(), mode: 0o644)
        let arm = try scratch.write("arm", elf(machine: 183))
        let object = try scratch.write("prog.bpf.o", elf(machine: 247))
        let loader = try scratch.write("loader", elf(interpreter: "/nowhere/ld.so"))
        let broken = try scratch.write("broken", Data("#!/nowhere/interpreter\n".utf8))
        for (file, words) in [
            (plain, "neither an ELF program nor a script"), (closed, "is not executable"),
            (arm, "another machine"), (object, "is a BPF object: name it without --"), (scratch.path, "is a folder"),
            (scratch.path + "/absent", "does not exist"), (loader, "its loader /nowhere/ld.so does not exist"),
            (broken, "its interpreter /nowhere/interpreter does not exist"),
        ] {
            var closure = ProgramClosure(search: search, environment: [:])
            let error = #expect(throws: HarnessError.self) { try closure.add(program: FilePath(file)) }
            guard case .usage(let text) = error else {
                Issue.record("\(file): \(String(describing: error))")
                continue
            }
            #expect(text.contains(words) && text.contains(file), "\(text)")
        }
    }

    @Test func filesGoWhereTheyAreWanted() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        _ = try scratch.write("data/a.txt", Data("a".utf8), mode: 0o644)
        _ = try scratch.write("data/sub/b=c.txt", Data("b".utf8), mode: 0o644)
        var closure = ProgramClosure(search: search, environment: [:])
        try closure.add(files: ["\(scratch.path)/data=/srv/x", "\(scratch.path)/data/sub/b=c.txt"], settings: [])
        #expect(
            closure.files.map(\.path) == ["/srv/x/a.txt", "/srv/x/sub/b=c.txt", "\(scratch.path)/data/sub/b=c.txt"])
        #expect(ProgramClosure.guestPath("/proc/self/fd/63") == "/run/bpftest/programs/63")
        #expect(throws: HarnessError.self) { try FileToBring("\(scratch.path)/data=relative") }
        #expect(throws: HarnessError.self) { try closure.add(files: [], settings: ["NOVALUE"]) }
        #expect(throws: HarnessError.self) { try closure.check(memoryMiB: 64) }
        #expect(throws: Never.self) { try closure.check(memoryMiB: 65) }
    }
}
