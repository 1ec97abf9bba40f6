// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// The programs and objects that are brought into guests, as installed beside bpftest or in its build folder.
public struct GuestFiles: Sendable {
    public let directory: FilePath

    public var initProgram: FilePath { directory.appending("bpftest-init") }
    public var agent: FilePath { directory.appending("bpftest-agent") }
    var objects: FilePath { directory.appending("objects") }

    /// Looks in `BPFTEST_GUEST_DIR`, then in ../lib/bpftest beside the executable, then in `guest` of the build folder.
    public static func locate(environment: [String: String]) throws(HarnessError) -> GuestFiles {
        var candidates: [FilePath] = []
        if let named = environment["BPFTEST_GUEST_DIR"] {
            candidates.append(FilePath(named))
        } else if let executable = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            var folder = FilePath(executable).removingLastComponent()
            candidates.append(folder.removingLastComponent().appending("lib/bpftest"))
            // .build/release/bpftest and .build/TRIPLE/release/bpftest, and test bundles beside them.
            for _ in 0..<4 {
                candidates.append(folder.appending("guest"))
                folder = folder.removingLastComponent()
            }
        }
        for candidate in candidates {
            let files = GuestFiles(directory: candidate)
            if FileManager.default.isReadableFile(atPath: files.initProgram.string) { return files }
        }
        throw .infrastructure(
            "the guest files (bpftest-init, bpftest-agent, objects/) are not in \(candidates.first?.string ?? "reach"): "
                + "build them (make build), or name their folder in BPFTEST_GUEST_DIR")
    }

    /// All BPF objects: path relative to objects/, and file.
    func allObjects() throws(HarnessError) -> [(name: String, file: FilePath)] {
        guard let all = FileManager.default.enumerator(atPath: objects.string) else {
            throw .infrastructure("\(objects) cannot be read: build the objects (make objects)")
        }
        return all.compactMap { $0 as? String }.filter { $0.hasSuffix(".bpf.o") || $0.hasSuffix(".csv") }.sorted().map {
            ($0, objects.appending($0))
        }
    }
}
