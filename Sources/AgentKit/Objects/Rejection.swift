// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// What the verifier must say of a program that it must refuse: an errno, and a message in the words of each version.
public struct Rejection: Sendable {
    /// Words that hold from a release on, until those of a later one.
    public struct Wording: Sendable {
        let since: KernelRelease
        let errno: Errno
        let fragment: String
    }

    private let wordings: [Wording]

    /// - Parameter fragment: a part of the verifier's log, in the oldest kernel that the case runs on.
    public init(_ errno: Errno, _ fragment: String, from release: KernelRelease = KernelRelease(6, 12)) {
        wordings = [Wording(since: release, errno: errno, fragment: fragment)]
    }

    private init(_ wordings: [Wording]) {
        self.wordings = wordings
    }

    /// The words changed at the latest in the given release.
    public func then(_ release: KernelRelease, _ errno: Errno, _ fragment: String) -> Rejection {
        Rejection(wordings + [Wording(since: release, errno: errno, fragment: fragment)])
    }

    /// Kernels of the latest release named so far use these words or those: it changed within the release.
    public func or(_ errno: Errno, _ fragment: String) -> Rejection {
        guard let last = wordings.last else { return self }
        return Rejection(wordings + [Wording(since: last.since, errno: errno, fragment: fragment)])
    }

    /// What is right on a kernel. Between two releases whose sources were read, which of them the kernel is like is
    /// not known: the words of both are.
    func allowed(on release: KernelRelease) -> [Wording] {
        guard let since = (wordings.last { $0.since <= release } ?? wordings.first)?.since else { return [] }
        let next = since < release ? wordings.first { $0.since > since }?.since : nil
        return wordings.filter { $0.since == since || $0.since == next }
    }
}

extension Test {
    /// States that the verifier refuses a program, with the right errno and for the right reason.
    ///
    /// - Parameters:
    ///   - object: relative to `BPFObject.directory`.
    ///   - program: the only one that is loaded.
    public func expect(
        _ object: String, program: String, refused rejection: Rejection, file: String = #fileID, line: Int = #line
    ) {
        let allowed = rejection.allowed(on: .running)
        let expected = allowed.map { "\($0.errno.name) (\($0.errno.rawValue)): \($0.fragment)" }.joined(
            separator: " or ")
        do {
            _ = try BPFObject(object, programs: [program], isVerbose: true)
            fail("\(program) is refused", expected: expected, observed: "it was loaded", file: file, line: line)
        } catch {
            // Without a log it did not come to the verifier: whatever the errno, nothing was judged.
            if !error.log.isEmpty,
                let found = allowed.firstIndex(where: { $0.errno == error.errno && error.log.contains($0.fragment) })
            {
                // They carry the first of the words that the release may use.
                if found == 0 { expectAnnotations(object, program: program, in: error.log, file: file, line: line) }
                return
            }
            let lines = error.log.split(separator: "\n").suffix(12)
            // The last lines are statistics, the one before says why.
            let reason = lines.last { !$0.hasPrefix("processed ") && !$0.hasPrefix("verification time") }
            note("verifier_log", lines.joined(separator: "\n"))
            if error.log.isEmpty { note("libbpf", String(error.messages.suffix(2000))) }
            fail(
                "\(program) is refused with this errno and message", expected: expected,
                observed:
                    "\(error.errno.name) (\(error.errno.rawValue)): \(reason ?? "no verifier log, \(error.step)")",
                errno: error.errno, file: file, line: line)
        }
    }

    /// States that the object's own annotations hold too, on the release whose words they are: they make the object
    /// usable under the kernel's own runner, which nothing else here would notice if it were wrong.
    private func expectAnnotations(_ object: String, program: String, in log: String, file: String, line: Int) {
        guard KernelRelease.running == Self.annotated else { return }
        do {
            let expected = try BPFObject.expectedMessages(object, program: program)
            expect(!expected.isEmpty, "\(program) is annotated with the verifier's message", file: file, line: line)
            guard let mismatch = MessageMatcher(expected: expected).check(log) else { return }
            fail(
                "the annotation of \(program) is the verifier's message",
                expected: expected[mismatch.index].pattern.text, observed: "not in the verifier's log", file: file,
                line: line)
            note("verifier_log", mismatch.excerpt(of: log))
        } catch {
            fail("\(error)", file: file, line: line)
        }
    }

    private static let annotated = KernelRelease(6, 12)
}
