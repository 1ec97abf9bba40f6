// SPDX-License-Identifier: Apache-2.0

/// The text of `README.txt`, for a person who has never heard of bpftest.
public enum ReadmeText {
    /// - Parameter manifest: with its parts, but for this one.
    public static func text(_ manifest: Manifest) -> String {
        guard let failure = manifest.failure, let machine = manifest.machine, let judge = manifest.judge else {
            preconditionFailure("a README for an archive without a failure")
        }
        let line = { (name: String, text: String?) -> String in
            guard let text, !text.isEmpty else { return "" }
            return "\n  \(name)" + String(repeating: " ", count: max(1, 11 - name.count)) + printable(text, limit: 500)
        }
        let has = { (prefix: String) in manifest.parts.contains { $0.path.hasPrefix(prefix) } }
        var files = """
              repro.sh          runs it again
              manifest.json     all of the above and more, for programs; checksums of all files
              boot/             the kernel\(has(ArchiveLayout.config) ? ", its config" : ""), and what it runs: guest.cpio \
            (init, modules, programs) and job.cpio (this case)
            """
        let folders = [
            ("guest/", "the program that ran the case, and the BPF objects that it had"),
            ("sources/", "the C sources of the BPF objects"),
            ("outputs/", "what was seen when it failed: results, the kernel's console, the verifier's log"),
            ("recording/", "a recording of the failure, instruction by instruction (bpftest replay --deterministic)"),
        ]
        for (folder, text) in folders where has(folder) {
            files += "\n  \(folder)" + String(repeating: " ", count: 18 - folder.count) + text
        }
        let bundle = manifest.bundle.map {
            "\nSome files are shared with other archives: unpack \($0).tar.zst in the folder in which you unpacked this one.\n"
        }
        return """
            A failure of a Linux kernel, and everything that it takes to see it again
            =========================================================================

            What failed:
            \(line("kernel", machine.release))\(line("test", "\(failure.suite)/\(failure.id)"))\(line("title", failure.title))\
            \(line("message", failure.message))\(line("expected", failure.expected))\(line("observed", failure.observed))\
            \(line("crash", failure.crash))\(line("verdict", failure.verdict))

            The test is about what a kernel promises to BPF programs. It was run by bpftest, in a virtual machine.

            To see it again, on any Linux machine with QEMU (Debian: apt-get install qemu-system-x86):

                ./repro.sh

            It boots the kernel in boot/ in a virtual machine without network or disks, straight into the test, and prints
            what the test and the kernel say. It takes some seconds; after \(judge.limit) it gives up (LIMIT=seconds). Exit
            status: 1 the failure happened again, 0 it did not, 3 it could not be run. Nothing is installed or left behind.
            \(tried(manifest.tried))
            To see it on your own kernel, or in a debugger, with bpftest:

                bpftest replay --kernel ~/linux \(manifest.name).tar.zst
                bpftest replay --gdb \(manifest.name).tar.zst

            How it is told that it failed: \(judgement(judge.kind))\(allowed(judge.allowed))
            \(bundle ?? "")
            What is in this folder:

            \(files)

            """
    }

    private static func tried(_ tried: Manifest.Tried?) -> String {
        guard let tried, tried.times > 0 else { return "" }
        return "\nWhen this was packed it was tried \(tried.times == 1 ? "once" : "\(tried.times) times"), and failed "
            + (tried.failed == tried.times
                ? (tried.times == 1 ? "again.\n" : "each time.\n") : "\(tried.failed) times.\n")
    }

    private static func allowed(_ patterns: [String]?) -> String {
        guard let patterns else { return "" }
        return "\nWhat the kernel says does not count where one of these (grep -E) is found in it:\n"
            + patterns.map { "\n  \(printable($0, limit: 110))" }.joined()
    }

    private static func judgement(_ kind: Manifest.Judge.Kind) -> String {
        switch kind {
        case .result: "the test's result line says \"not ok\", or the kernel complains while it runs."
        case .absent: "the test is skipped, as the kernel lacks what its version should have."
        case .splat: "the kernel complains (panic, oops, BUG, WARNING and the like) while the test runs."
        case .timeout: "the test has no result in its time."
        case .agent: "the program that runs the test ends without a result for it."
        case .program: "the program's exit status is neither 0 nor 4 (skipped), or a line of it says \"not ok\"."
        case .boot: "the kernel does not come as far as to the test."
        }
    }
}
