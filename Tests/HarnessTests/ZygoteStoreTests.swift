// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Synchronization
import SystemPackage
import Testing

@testable import Harness
@testable import VMRunner

/// Zygotes as files: made from patterns instead of machines, as the store does not look inside.
@Suite struct ZygoteStoreTests {
    /// What a store has logged.
    final class Messages: Sendable {
        private let lines = Mutex<[String]>([])

        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    final class Fixture {
        let folder: String
        let messages = Messages()
        let qemu: QEMU
        var settings = MachineSettings()
        let cancellation: Cancellation

        init() throws {
            folder = NSTemporaryDirectory() + "/bpftest-zygotes-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for name in ["qemu", "kernel", "initramfs", "agent"] {
                try Data(name.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
            }
            qemu = QEMU(path: folder + "/qemu", version: "10.0.2", hasSandbox: true)
            settings.memoryMiB = 1
            cancellation = try Cancellation()
        }

        deinit {
            try? FileManager.default.removeItem(atPath: folder)
        }

        func store(_ limit: Int? = nil, cache: String? = nil) -> ZygoteStore {
            let messages = messages
            let environment = limit.map { ["BPFTEST_ZYGOTES_MAX": "\($0)"] } ?? [:]
            return ZygoteStore(
                folders: Folders(environment: ["BPFTEST_CACHE": cache ?? folder + "/cache"]), environment: environment
            ) { messages.add($0) }
        }

        func key(_ release: String = "6.12", pushed: String = "agent") throws -> ZygoteKey {
            try ZygoteKey(
                qemu: qemu, settings: settings,
                files: BootFiles(kernel: FilePath(folder + "/kernel"), initramfs: FilePath(folder + "/initramfs")),
                pushed: [GuestFile(.file(FilePath(folder + "/" + pushed)), as: "/run/agent")], release: release)
        }

        /// A memory with a hole, zeros and content.
        func zygote() throws -> Zygote {
            let mould = try Zygote.Mould(memoryMiB: 1)
            let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let written = unsafe content.withUnsafeBytes {
                unsafe pwrite(mould.memory.raw, $0.baseAddress, $0.count, 200_000)
            }
            #expect(written == content.count)
            try mould.state.writeAll(Array("the state".utf8))
            return try Zygote(mould, settings: settings, notes: ["a note"])
        }

        func make(_ store: ZygoteStore, _ key: ZygoteKey) throws -> Zygote {
            let made = try zygote()
            return try store.make(key, cancellation) { () throws(MachineError) in (made, fits: true) }
        }

        func file(_ key: ZygoteKey, _ name: String) -> String { "\(folder)/cache/zygotes/\(key.name)/\(name)" }
    }

    private func content(_ file: borrowing OwnedFD) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe pread(file.raw, $0.baseAddress, $0.count, 0) }
        return Array(bytes[..<count])
    }

    @Test func whatIsKeptIsFoundAgain() throws {
        let fixture = try Fixture()
        let key = try fixture.key()
        #expect(fixture.store().find(key, settings: fixture.settings) == nil)
        let original = try fixture.zygote()
        let made = try fixture.make(fixture.store(), key)
        let found = try #require(fixture.store().find(key, settings: fixture.settings))
        #expect(found.notes == ["a note"])
        #expect(try content(found.memory) == content(original.memory))
        #expect(try content(made.memory) == content(original.memory))
        #expect(try content(found.state) == Array("the state".utf8))
        #expect(fixture.messages.all == [])
        let entry = try #require(fixture.store().list().first)
        #expect(entry.isWhole)
        #expect(entry.size < 1 << 20, "holes stay holes")
    }

    /// Whatever goes in makes another zygote.
    @Test func theKeyIsOfEverythingThatGoesIn() throws {
        let fixture = try Fixture()
        var names: Set<String> = [try fixture.key().name]
        let before = try fixture.key().name
        #expect(before == (try fixture.key().name))
        for name in ["kernel", "initramfs", "agent", "qemu"] {
            try Data("other \(name)".utf8).write(to: URL(fileURLWithPath: fixture.folder + "/" + name))
            names.insert(try fixture.key().name)
        }
        fixture.settings.cpus = 2
        names.insert(try fixture.key().name)
        fixture.settings.kernelArguments = ["quiet"]
        names.insert(try fixture.key().name)
        fixture.settings.memoryMiB = 2
        names.insert(try fixture.key().name)
        #expect(names.count == 8)
    }

    @Test(arguments: ["truncated", "grown", "changed", "state", "manifest", "link", "writable", "gone"])
    func whatIsDamagedOrForeignIsNoticedAndMadeAgain(_ damage: String) throws {
        let fixture = try Fixture()
        let key = try fixture.key()
        _ = try fixture.make(fixture.store(), key)
        let memory = fixture.file(key, "memory")
        switch damage {
        case "truncated": _ = unsafe truncate(memory, 1000)
        case "grown": _ = unsafe truncate(memory, 3 << 20)
        case "changed":
            let file = try Descriptors.open(memory, O_RDWR)
            let byte: [UInt8] = [1]
            #expect(unsafe byte.withUnsafeBytes { unsafe pwrite(file.raw, $0.baseAddress, 1, 5) } == 1)
        case "state": try Data("another!!".utf8).write(to: URL(fileURLWithPath: fixture.file(key, "state")))
        case "manifest": try Data("{}".utf8).write(to: URL(fileURLWithPath: fixture.file(key, "manifest.json")))
        case "link":
            _ = unsafe rename(memory, memory + ".else")
            _ = unsafe symlink(memory + ".else", memory)
        case "writable": _ = unsafe chmod(memory, 0o666)
        default: _ = unsafe unlink(memory)
        }
        #expect(fixture.store().find(key, settings: fixture.settings) == nil)
        let said = fixture.messages.all
        #expect(said.count == 1 && said[0].hasSuffix("made again"), "\(said)")
        _ = try fixture.make(fixture.store(), key)
        #expect(fixture.store().find(key, settings: fixture.settings) != nil)
    }

    /// A copy of the cache is whole, though its files are not the ones that were written.
    @Test func whatIsWholeThoughTouchedIsTaken() throws {
        let fixture = try Fixture()
        let key = try fixture.key()
        _ = try fixture.make(fixture.store(), key)
        let memory = fixture.file(key, "memory")
        try FileManager.default.copyItem(atPath: memory, toPath: memory + ".copy")
        _ = unsafe rename(memory + ".copy", memory)
        #expect(fixture.store().find(key, settings: fixture.settings) != nil)
        #expect(fixture.messages.all == [])
    }

    @Test func twoThatNeedTheSameMakeItOnce() async throws {
        let fixture = try Fixture()
        let key = try fixture.key()
        let store = fixture.store()
        let cancellation = fixture.cancellation
        let made = Messages()
        let zygote = try fixture.zygote()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let answer = await Runner.onThread {
                        Result { () throws(MachineError) in
                            try store.make(key, cancellation) { () throws(MachineError) in
                                made.add("made")
                                return (zygote, fits: true)
                            }
                        }
                    }
                    _ = try answer.get()
                }
            }
            try await group.waitForAll()
        }
        #expect(made.all == ["made"])
    }

    @Test func waitingForAnotherRunCanBeInterrupted() async throws {
        let fixture = try Fixture()
        let key = try fixture.key()
        let store = fixture.store()
        _ = try fixture.make(store, key)
        _ = unsafe unlink(fixture.file(key, "manifest.json"))
        let lock = try Descriptors.open(fixture.file(key, "lock"), O_RDWR)
        #expect(lock.tryLock() == nil)
        let cancellation = fixture.cancellation
        let zygote = try fixture.zygote()
        let messages = fixture.messages
        let waiting = Task {
            await Runner.onThread {
                Result { () throws(MachineError) in
                    try store.make(key, cancellation) { () throws(MachineError) in (zygote, fits: true) }
                }
            }
        }
        while messages.all.isEmpty { await Task.yield() }
        cancellation.cancel()
        let answer = await waiting.value
        guard case .failure(.cancelled) = answer else {
            Issue.record("not interrupted: \(answer)")
            return
        }
        withExtendedLifetime(lock.raw) {}
    }

    @Test func aCacheThatCannotBeWrittenCostsTheZygoteAndNotTheRun() throws {
        let fixture = try Fixture()
        let key = try fixture.key()
        // The cache's folder is a file: nobody can make a folder in it, root neither.
        let made = try fixture.make(fixture.store(cache: fixture.folder + "/kernel"), key)
        #expect(made.notes == ["a note"])
        let said = fixture.messages.all
        #expect(said.count == 1 && said[0].hasSuffix("the zygote is for this run only"), "\(said)")
    }

    @Test func aFailedBootLeavesNothingThatIsTaken() throws {
        let fixture = try Fixture()
        let key = try fixture.key()
        #expect(throws: MachineError.self) {
            try fixture.store().make(key, fixture.cancellation) { () throws(MachineError) in
                throw .boot(.ended, console: [])
            }
        }
        #expect(fixture.store().find(key, settings: fixture.settings) == nil)
        #expect(fixture.store().list().map(\.isWhole) == [false])
        #expect(fixture.store().prune(to: 1 << 30).count == 1, "a half is no use to anybody")
    }

    /// What a key does not describe any more is for this run.
    @Test func whatDoesNotFitItsKeyIsNotKept() throws {
        let fixture = try Fixture()
        let zygote = try fixture.zygote()
        let key = try fixture.key()
        _ = try fixture.store().make(key, fixture.cancellation) { () throws(MachineError) in (zygote, fits: false) }
        #expect(fixture.store().find(key, settings: fixture.settings) == nil)
    }

    @Test func pruneRemovesWhatWasNotUsedForLongest() throws {
        let fixture = try Fixture()
        let store = fixture.store()
        let keys = try ["6.1", "6.6", "6.12"].map { try fixture.key($0) }
        for (age, key) in keys.enumerated() {
            _ = try fixture.make(store, key)
            var times = [timespec(tv_sec: 1000 + age, tv_nsec: 0), timespec(tv_sec: 1000 + age, tv_nsec: 0)]
            #expect(unsafe utimensat(AT_FDCWD, fixture.file(key, "manifest.json"), &times, 0) == 0)
        }
        // Looking for one is using it.
        #expect(store.find(keys[0], settings: fixture.settings) != nil)
        #expect(store.list().map(\.name) == [keys[0].name, keys[2].name, keys[1].name])
        let one = try #require(store.list().first).size
        #expect(store.prune(to: 2 * one) == [keys[1].name])
        #expect(store.prune(to: 0, sparing: keys[2].name) == [keys[0].name])
        #expect(store.prune(to: 0) == [keys[2].name])
    }

    /// One that somebody makes at this moment is not whole, and not rubbish.
    @Test func pruneLeavesWhatIsBeingMade() throws {
        let fixture = try Fixture()
        let store = fixture.store()
        let zygote = try fixture.zygote()
        _ = try store.make(try fixture.key(), fixture.cancellation) { () throws(MachineError) in
            #expect(store.prune(to: 0) == [])
            return (zygote, fits: true)
        }
        #expect(store.list().map(\.isWhole) == [true])
    }

    @Test func theLimitIsKeptWhenOneIsMade() throws {
        let fixture = try Fixture()
        let store = fixture.store(0)
        _ = try fixture.make(store, try fixture.key("6.1"))
        let second = try fixture.key("6.12")
        _ = try fixture.make(store, second)
        #expect(store.list().map(\.name) == [second.name], "the newest stays: the run needs it")
    }
}
