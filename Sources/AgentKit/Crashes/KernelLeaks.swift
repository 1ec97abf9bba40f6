// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Memory that a case has left behind and nobody points to, in kernels with CONFIG_DEBUG_KMEMLEAK.
///
/// kmemleak tells of an object when two scans in a row have found no pointer to it and nothing changed in it, and it is
/// five seconds old: what a case costs in such a kernel. A value that is left over on a stack and looks like a pointer hides
/// a leak, now and then.
///
/// - Source: mm/kmemleak.c, MSECS_MIN_AGE and update_checksum(); the same from 5.10 to 7.x.
enum KernelLeaks {
    private static let path = "/sys/kernel/debug/kmemleak"
    private static let leastAge = Duration.milliseconds(5100)

    /// Whether the kernel has it; a machine with it disabled (`kmemleak=off`) refuses to be written to.
    static var areLookedFor: Bool { unsafe access(path, R_OK | W_OK) == 0 }

    /// Has what the kernel's boot has left behind forgotten: it is no case's.
    static func forget() {
        guard areLookedFor else { return }
        for command in ["scan", "scan", "clear"] where !tell(command) { return }
    }

    /// Looks for what the case that has just ended left behind, and says it on the console, as a case's complaint.
    static func look() {
        guard areLookedFor else { return }
        let end = ContinuousClock.now
        GracePeriods.pass()
        // The kernel counts from the allocation; nothing tells when it is old enough but time. Both scans come behind it:
        // what RCU still had to do to an object in between would make the second one pass it over.
        var poller = Poller()
        while case let left = end + leastAge - .now, left > .zero {
            do {
                _ = try poller.wait(left)
            } catch {
                return
            }
        }
        guard tell("scan"), tell("scan"), let text = try? readFile(path, limit: 256 << 10), !text.isEmpty else {
            return
        }
        for line in text.split(separator: 0x0a).prefix(400) {
            SuiteRun.sayOnConsole(String(decoding: line.prefix(400), as: UTF8.self))
        }
        _ = tell("clear")
    }

    /// - Returns: false when it cannot be told; then there is nothing to be learnt from it.
    private static func tell(_ command: String) -> Bool {
        guard let file = try? Descriptors.open(path, O_WRONLY) else { return false }
        do {
            try file.writeAll(Array(command.utf8))
            return true
        } catch {
            return false
        }
    }
}
