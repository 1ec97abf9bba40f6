// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// The kernel modules that the guest image brings along.
enum Modules {
    /// One path a line, in load order; `?` in front of a path: the guest can do without it; `+`: so it can, and loads
    /// it only in a machine that has network cards.
    private static let list = "/etc/bpftest/modules"

    /// Loads them in order.
    ///
    /// - Parameter notes: gets a sentence for each optional module that did not load.
    /// - Throws: at a required module that does not load.
    static func load(_ notes: inout [String]) throws {
        for line in try lines() {
            if line.hasPrefix("+"), !hasCards { continue }
            let optional = line.hasPrefix("?") || line.hasPrefix("+")
            let path = optional ? String(line.dropFirst()) : line
            guard let error = insert(path) else { continue }
            let sentence = "module \(path) does not load: \(error.name)"
            if !optional { throw InitError(sentence) }
            notes.append(sentence)
        }
    }

    /// The host says so on the kernel's command line.
    private static let hasCards: Bool = {
        // Without /proc nothing works, which is said elsewhere.
        let line = (try? readFile("/proc/cmdline")) ?? []
        return String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace).contains {
            $0.hasPrefix("bpftest.cards=")
        }
    }()

    private static func lines() throws -> [String] {
        // A kernel with everything built in has no list.
        if unsafe access(list, F_OK) != 0 { return [] }
        return String(decoding: try readFile(list), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// - Returns: what went wrong; nil when the module is there.
    private static func insert(_ path: String) -> Errno? {
        do {
            let file = try Descriptors.open(path, O_RDONLY)
            if unsafe clinux_finit_module(file.raw, "", 0) == 0 { return nil }
            let error = Errno.last
            // Loaded already, as a dependency or on the kernel's own request.
            return error == .fileExists ? nil : error
        } catch {
            return error
        }
    }
}
