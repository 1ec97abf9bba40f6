// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import Synchronization
internal import SystemPackage
internal import VMRunner

/// What machines take of the host's memory, as seen: how many can run at once follows from it.
///
/// A restored machine shares most of its guest's memory with others of its zygote, so the guest's size says little.
public final class MemoryUse: Sendable {
    private let file: FilePath
    private let seen = Mutex<[String: Int]>([:])
    private let measured = Mutex<Set<String>>([])

    /// - Parameter folders: kept in the cache; that it cannot be kept costs the next run its better guess.
    public init(folders: Folders) {
        file = folders.cache.appending("memory-use.json")
        if let data = FileManager.default.contents(atPath: file.string),
            let known = try? JSONDecoder().decode([String: Int].self, from: data)
        {
            seen.withLock { $0 = known }
        }
    }

    private static func key(_ settings: MachineSettings) -> String {
        "\(settings.accelerator) \(settings.memoryMiB) MiB \(settings.cpus) cpu"
            + (settings.cards.isEmpty ? "" : " \(settings.cards.count) cards")
    }

    /// Looks at a running machine, once for each kind of machine in a run.
    func note(_ machine: Machine) {
        guard machine.end == nil else { return }
        let key = Self.key(machine.settings)
        guard measured.withLock({ $0.insert(key).inserted }), let use = Self.privateKiB(machine.pid) else { return }
        seen.withLock { $0[key] = use }
    }

    /// Memory of a process that is nobody else's, in KiB; what it shares is there once for all machines.
    static func privateKiB(_ pid: Int32) -> Int? {
        // Gone in the meantime: nothing to be seen.
        guard let bytes = try? readFile("/proc/\(pid)/smaps_rollup") else { return nil }
        var total = 0
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        where line.hasPrefix("Private_Clean:") || line.hasPrefix("Private_Dirty:") {
            total += line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        }
        return total
    }

    /// Keeps what was seen.
    func save() {
        guard !measured.withLock({ $0.isEmpty }), let data = try? JSONEncoder().encode(seen.withLock { $0 }) else {
            return
        }
        try? data.write(to: URL(fileURLWithPath: file.string), options: .atomic)
    }

    /// How many machines can run at once: one for each processor that they need, as far as memory allows.
    ///
    /// - Parameter available: of the host, in KiB; nil reads /proc/meminfo.
    func machines(_ settings: MachineSettings, processors: Int, available: Int? = nil) -> Int {
        let guess = (settings.memoryMiB + 128) << 10
        let each = max(seen.withLock { $0[Self.key(settings)] } ?? guess, 1 << 10)
        // A quarter is left to the host, and the zygote itself must fit.
        let room = (available ?? Self.availableKiB() ?? guess) / 4 * 3 - settings.memoryMiB << 10
        return max(1, min(processors / max(settings.cpus, 1), room / each))
    }

    private static func availableKiB() -> Int? {
        guard let bytes = try? readFile("/proc/meminfo") else { return nil }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    }
}
