// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Programs of an object, run one at a time by BPF_PROG_TEST_RUN.
final class Programs {
    private var owned: BPFObject?

    /// Loads them; tasks that they acquire are the calling process.
    init(_ object: String, _ names: [String]) throws {
        let loaded = try BPFObject(object, programs: names)
        try loaded.set("pid_wanted", to: getpid())
        owned = loaded
    }

    var object: BPFObject {
        get throws {
            guard let owned else { throw Errno.EBADF }
            return owned
        }
    }

    /// Runs a `tc` program on an empty packet.
    ///
    /// - Parameter key: what `key_wanted` is set to.
    func run(_ name: String, key: Int32? = nil) throws -> UInt32 {
        let object = try object
        if let key { try object.set("key_wanted", to: key) }
        return try object.run(name, data: Self.packet).get()
    }

    /// Runs a `syscall` program.
    func call(_ name: String) throws -> UInt32 {
        try object.run(name).get()
    }

    func set<Value: FixedWidthInteger & BitwiseCopyable>(_ variable: String, to value: Value) throws {
        try object.set(variable, to: value)
    }

    func value(_ variable: String) throws -> Int32 {
        try object.value(of: variable, as: Int32.self)
    }

    func long(_ variable: String) throws -> UInt64 {
        try object.value(of: variable, as: UInt64.self)
    }

    func map(_ name: String) throws -> BPFMap {
        BPFMap(borrowing: try object.map(name))
    }

    /// Unloads the programs; the maps go with them unless somebody else has them.
    func close() {
        owned = nil
    }

    private static let packet = [UInt8](repeating: 0, count: 64)
}

/// Counts the references to what programs here keep: the calling process, or the object that 6.1 has for tests.
struct References {
    private let programs: Programs
    private let test: Test
    /// The count before anything is kept.
    let before: Int32

    init(_ test: Test) throws {
        self.test = test
        programs = try Programs(Era.object("count"), ["count"])
        before = try Self.read(programs)
        try test.require(before > 0, "what is counted is there")
    }

    private static func read(_ programs: Programs) throws -> Int32 {
        guard try programs.run("count") == 1 else { return -1 }
        return try programs.value("users")
    }

    /// How many there are more than in the beginning.
    var kept: Int32 {
        get throws { try Self.read(programs) - before }
    }

    /// States how many there are more than in the beginning.
    func expect(_ kept: Int32, _ what: String, file: String = #fileID, line: Int = #line) throws {
        test.expect(try self.kept, equals: kept, "references kept: \(what)", file: file, line: line)
    }

    /// States how many are left once the kernel has freed what it frees later.
    func expectAtLast(_ kept: Int32, _ what: String, file: String = #fileID, line: Int = #line) throws {
        _ = try Later.wait { try self.kept == kept }
        test.expect(try self.kept, equals: kept, "references kept: \(what)", file: file, line: line)
    }
}

/// What the kernel does after grace periods and in its workers.
enum Later {
    /// Gives it time until something holds, as long as nobody waits for on a machine that works.
    static func wait(until condition: () throws -> Bool) throws -> Bool {
        let start = seconds()
        while try !condition() {
            if seconds() - start > 30 { return false }
            GracePeriods.pass()
            sched_yield()
        }
        return true
    }

    private static func seconds() -> Int {
        var now = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec
    }
}

/// Keeps the calling process on one processor.
func pin(to processor: Int) throws(Errno) {
    if let errno = Processors.pin(to: processor) { throw errno }
}
