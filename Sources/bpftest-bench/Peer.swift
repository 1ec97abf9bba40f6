// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import SystemPackage

/// virtme-ng: what a developer types today to have something run on a kernel.
struct Peer {
    /// The kernel file, with its modules in `../lib/modules`.
    var kernel: FilePath
    var qemu: String
    /// Where it is installed: in a folder of its own in the cache.
    var folder: FilePath
    var rounds = 3

    /// Compares virtme-ng with a restored case.
    ///
    /// - Parameter restoredCase: seconds from starting QEMU to the case's result; nil: not measured.
    /// - Returns: rows without a value, with the reason, when virtme-ng cannot be had here.
    func rows(restoredCase: Double?) throws -> [Row] {
        let name = "virtme-ng uname -r / restored case"
        do {
            let times = try measure()
            let how = "median of \(rounds), vng --disable-kvm on the same kernel and QEMU; restored: see above"
            let peer = Row.plain("virtme-ng uname -r", times.median, unit: "s", how: how)
            guard let restoredCase else { return [peer] }
            return [peer, .atLeast(name, times.median / restoredCase, 40, unit: "", how: how)]
        } catch let reason as Unavailable {
            return [.absent(name, limit: ">= 40", reason: "\(reason)")]
        }
    }

    /// Why there is nothing to compare with: no failure of the bench.
    struct Unavailable: Error, CustomStringConvertible {
        let description: String
    }

    private func measure() throws -> [Double] {
        let path = try install()
        let vng = folder.appending("venv/bin/vng").string
        var times: [Double] = []
        // One round first that is not counted: files come into the page cache.
        for round in 0...rounds {
            let start = ContinuousClock.now
            let child = try Child(
                [vng, "--disable-kvm", "--qemu", qemu, "-r", kernel.string, "--", "uname", "-r"],
                // Nothing of the user's own settings for it.
                environment: ["PATH": path, "HOME": folder.string, "XDG_CONFIG_HOME": folder.string], directory: "/")
            let end = try child.wait(.seconds(240))
            let time = start.secondsSince
            child.kill()
            let release = kernel.lastComponent?.string.replacing("vmlinuz-", with: "") ?? ""
            guard end == .exited(0), child.output.contains(release) else {
                let text = child.error.isEmpty ? child.output : child.error
                let last = text.split(whereSeparator: \.isNewline).last.map(String.init) ?? "it printed nothing"
                throw Unavailable(description: "vng: \(end.map { "\($0)" } ?? "no end after 240 s"): \(last)")
            }
            if round > 0 { times.append(time) }
        }
        return times
    }

    /// - Returns: the PATH to call it with.
    private func install() throws -> String {
        let script = "scripts/peer-virtme-ng"
        guard FileManager.default.isExecutableFile(atPath: script) else {
            throw Unavailable(description: "\(script) is not here: start the bench in the source tree")
        }
        let directory = FileManager.default.currentDirectoryPath
        let child = try Child(["\(directory)/\(script)", folder.string])
        let end = try child.wait(.seconds(300))
        child.kill()
        guard end == .exited(0) else {
            let reason = child.error.split(whereSeparator: \.isNewline).last.map(String.init) ?? "no reason given"
            throw Unavailable(description: reason)
        }
        return child.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

extension [Double] {
    /// The middle one; not to be asked of an empty list.
    var median: Double { sorted()[count / 2] }
}

extension ContinuousClock.Instant {
    /// Seconds from this moment to now.
    var secondsSince: Double { (ContinuousClock.now - self) / .seconds(1) }
}
