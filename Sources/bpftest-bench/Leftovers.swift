// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import SystemPackage

/// What runs may leave behind in a machine: looked for in /proc and in folders.
enum Leftovers {
    /// Descriptors that this process has open.
    static func descriptors() -> Int {
        // One of them is the look itself.
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.count ?? 0) - 1
    }

    /// The processes that a process has started, ended ones that nobody has waited for included.
    static func children(of parent: Int32) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { pid in
            // A process that is gone by now is nobody's child.
            guard let bytes = try? readFile("/proc/\(pid)/stat") else { return false }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.lastIndex(of: ")") else { return false }
            let fields = text[text.index(after: end)...].split(separator: " ")
            return fields.count > 1 && Int32(fields[1]) == parent
        }
    }

    /// The QEMUs among a process's children that are machines.
    static func machines(of parent: Int32) -> [Int32] {
        children(of: parent).filter { pid in
            let line = (try? readFile("/proc/\(pid)/cmdline")) ?? []
            return line.split(separator: 0).contains { $0.elementsEqual("-nodefaults".utf8) }
        }
    }

    /// Whether processes end within a time.
    ///
    /// - Returns: how many do not.
    static func remaining(_ processes: [Int32], after limit: Duration) -> Int {
        let deadline = ContinuousClock.now + limit
        return processes.filter { pid in
            // No such process: it has ended, and its parent or init has waited for it.
            guard let process = try? Descriptors.process(pid) else { return false }
            var poller = Poller()
            poller.add(process.raw, .read)
            while let came = try? poller.wait(deadline - .now) {
                if came { return false }
                if ContinuousClock.now >= deadline { return true }
            }
            return true
        }.count
    }

    /// The names in a folder; empty where there is none.
    static func names(_ folder: FilePath) -> Set<String> {
        Set((try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? [])
    }

    /// What is in a cache's zygotes that no whole zygote consists of.
    static func strays(inZygotes folder: FilePath) -> [String] {
        names(folder).flatMap { name in
            names(folder.appending(name)).subtracting(["memory", "state", "manifest.json", "lock"])
                .map { "\(name)/\($0)" }
        }
    }
}
