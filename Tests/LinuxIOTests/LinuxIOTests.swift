// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Synchronization
import SystemPackage
import Testing

@Suite struct SpawnTests {
    /// Runs a shell script with its stdout on a pipe.
    private func shell(_ script: String, _ adjust: (inout Spawn) -> Void = { _ in }) throws -> (String, ProcessEnd) {
        let pipe = try Descriptors.pipe()
        let reading = pipe.first
        let writing = pipe.second
        let nothing = try Descriptors.open("/dev/null", O_RDWR)
        var spawn = Spawn(path: "/bin/sh", arguments: ["sh", "-c", script], environment: ["PATH=/usr/bin:/bin"])
        spawn.descriptors = [0: nothing.raw, 1: writing.raw, 2: nothing.raw]
        adjust(&spawn)
        let pid = try spawn.start()
        _ = consume writing
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = try reading.read(into: &chunk)
            if count == 0 { break }
            text += chunk[..<count]
        }
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return (String(decoding: text, as: UTF8.self), ProcessEnd(waitStatus: status))
    }

    @Test func theChildHasOnlyTheDescriptorsGivenToIt() throws {
        let extra = try Descriptors.open("/dev/zero", O_RDONLY)
        let (text, end) = try shell("ls /proc/$$/fd; :") { $0.descriptors[9] = extra.raw }
        #expect(end == .exited(0))
        // The shell as it is while it waits: of a pipeline it would hold the ends.
        #expect(text.split(separator: "\n") == ["0", "1", "2", "9"])
    }

    /// Numbers that swap places must not overwrite each other on the way.
    @Test func descriptorsMaySwap() throws {
        let first = try Descriptors.pipe()
        let second = try Descriptors.pipe()
        try first.second.writeAll(Array("one\n".utf8))
        try second.second.writeAll(Array("two\n".utf8))
        let (a, b) = (first.first.raw, second.first.raw)
        let (text, _) = try shell("head -n 1 /proc/$$/fd/\(a); head -n 1 /proc/$$/fd/\(b)") { spawn in
            spawn.descriptors[a] = b
            spawn.descriptors[b] = a
        }
        #expect(text == "two\none\n")
    }

    @Test func theEnvironmentIsTheGivenOne() throws {
        let (text, _) = try shell("env | grep -v ^PWD= | grep -v ^_= | sort") { $0.environment = ["A=1", "PATH=/bin"] }
        #expect(text == "A=1\nPATH=/bin\n")
    }

    @Test func endsAreTold() throws {
        #expect(try shell("exit 7").1 == .exited(7))
        #expect(try shell("kill -SEGV $$").1 == .signalled(11))
        #expect("\(ProcessEnd.signalled(11))" == "signal SIGSEGV")
    }

    /// Threads may have priorities of their own; what the user gave the process is its first thread's.
    @Test func theChildHasThePriorityOfTheProcess() throws {
        let process = id_t(getpid())
        let given = getpriority(CInt(PRIO_PROCESS.rawValue), process)
        let lower = min(given + 1, 19)
        #expect(setpriority(CInt(PRIO_PROCESS.rawValue), process, lower) == 0)
        // Refused to all but root, and of no consequence.
        defer { _ = setpriority(CInt(PRIO_PROCESS.rawValue), process, given) }
        #expect(try shell("cut -d ' ' -f 19 /proc/$$/stat").0 == "\(lower)\n")
    }

    @Test func aMissingProgramIsAnErrorHereAndNotAChild() {
        let spawn = Spawn(path: "/nowhere/program", arguments: ["x"], environment: [])
        let error = #expect(throws: SpawnError.self) { try spawn.start() }
        #expect(error?.cause == .noSuchFileOrDirectory)
        #expect(error?.description.contains("cannot execute /nowhere/program") == true)
        #expect(error?.description.contains("ENOENT") == true)
    }

    @Test func aMissingDirectoryIsAnError() {
        let error = #expect(throws: SpawnError.self) { _ = try shell("true") { $0.workingDirectory = "/nowhere" } }
        #expect(error?.description.contains("working directory") == true)
    }

    /// QEMU must go with the thread that owns it, whatever becomes of the process.
    @Test func theChildDiesWithItsThread() throws {
        let watched = try Descriptors.pipe()
        let reading = watched.first
        let writing = watched.second
        let number = writing.raw
        // The child waits for input that never comes: this end stays open until after the thread's end.
        let input = try Descriptors.pipe()
        let inputNumber = input.first.raw
        let started = DispatchSemaphore(value: 0)
        let child = Mutex<Int32>(0)
        let thread = Thread {
            var spawn = Spawn(path: "/bin/sh", arguments: ["sh", "-c", "read x"], environment: [])
            spawn.descriptors = [0: inputNumber, 1: number]
            spawn.dieWithThread = true
            do {
                let pid = try spawn.start()
                child.withLock { $0 = pid }
            } catch {
                Issue.record(error)
            }
            started.signal()
        }
        thread.start()
        started.wait()
        _ = consume writing
        var poller = Poller()
        poller.add(reading.raw, .read)
        #expect(try poller.wait(.seconds(20)), "the child's end closes the pipe")
        var byte = [UInt8](repeating: 0, count: 1)
        #expect(try reading.read(into: &byte) == 0)
        try input.second.writeAll([10])
        // Nobody else may find it: Swift Testing looks for the end of its own children among all.
        var status: CInt = 0
        while unsafe waitpid(child.withLock { $0 }, &status, 0) < 0, errno == EINTR {}
        #expect(ProcessEnd(waitStatus: status) == .signalled(9))
    }
}

@Suite struct DescriptorTests {
    /// The other end of a socket sees the close.
    @Test func aDescriptorIsClosedWithItsOwner() throws {
        let pair = try Descriptors.socketPair()
        let kept = pair.first
        let dropped = pair.second
        try kept.setNonBlocking()
        var byte = [UInt8](repeating: 0, count: 1)
        #expect(throws: Errno.resourceTemporarilyUnavailable) { try kept.read(into: &byte) }
        _ = consume dropped
        // A child that another test is about to start has the end too, up to its exec.
        var poller = Poller()
        poller.add(kept.raw, .read)
        #expect(try poller.wait(.seconds(20)), "the other end is closed")
        #expect(try kept.read(into: &byte) == 0)
    }

    @Test func pollWaitsForItsLimit() throws {
        let pair = try Descriptors.socketPair()
        var poller = Poller()
        poller.add(pair.first.raw, .read)
        #expect(try poller.wait(.milliseconds(1)) == false)
        try pair.second.writeAll([1])
        #expect(try poller.wait(.seconds(10)))
        #expect(poller[0].contains(.read))
    }

    @Test func anEventStaysUntilItIsRead() throws {
        let event = try Descriptors.event()
        event.signal()
        var poller = Poller()
        poller.add(event.raw, .read)
        #expect(try poller.wait(.zero))
        #expect(try poller.wait(.zero))
    }

    @Test func errnosHaveTheKernelsNames() {
        #expect(Errno(rawValue: 16).name == "EBUSY")
        #expect(Errno(rawValue: 524).name == "errno 524", "ENOTSUPP is the kernel's own")
    }

    @Test func aFileIsReadUpToTheLimit() throws {
        #expect(try readFile("/proc/self/status", limit: 5) == Array("Name:".utf8))
        #expect(throws: Errno.noSuchFileOrDirectory) { try readFile("/nowhere") }
    }
}
