// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Subprocess
internal import SystemPackage

/// Programs of the system that bpftest calls: apt, dpkg, depmod, decompressors.
enum Tool {
    struct Answer {
        /// nil: a signal ended it.
        var code: Int32?
        var output: String
        var error: String

        var succeeded: Bool { code == 0 }

        /// What to show of a failure: the last lines of what it complained about.
        var complaint: String {
            let text = error.isEmpty ? output : error
            return text.split(whereSeparator: \.isNewline).suffix(4).joined(separator: "; ")
        }
    }

    /// Runs a program to its end; output beyond 32 MiB is an error.
    ///
    /// - Parameter package: what to install where the program is missing.
    static func run(
        _ name: String, _ arguments: [String], environment: [String: String] = [:], package: String
    ) async throws(HarnessError) -> Answer {
        do {
            // depmod is where only root's PATH leads.
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            var settings = Environment.inherit.updating(["LC_ALL": "C", "PATH": .some(path + ":/usr/sbin:/sbin")])
            for (key, value) in environment {
                settings = settings.updating([Environment.Key(stringLiteral: key): value])
            }
            let result = try await Subprocess.run(
                name.contains("/") ? .path(FilePath(name)) : .name(name),
                arguments: Arguments(arguments), environment: settings,
                output: .string(limit: 32 << 20), error: .string(limit: 32 << 20))
            var code: Int32?
            if case .exited(let status) = result.terminationStatus { code = Int32(status) }
            return Answer(code: code, output: result.standardOutput, error: result.standardError)
        } catch {
            if Task.isCancelled { throw .cancelled }
            throw .infrastructure("\(name) does not run (Debian: apt-get install \(package)): \(error)")
        }
    }

    /// Runs a program that must succeed.
    static func require(
        _ name: String, _ arguments: [String], environment: [String: String] = [:], package: String, to purpose: String
    ) async throws(HarnessError) -> String {
        let answer = try await run(name, arguments, environment: environment, package: package)
        guard answer.succeeded else { throw .infrastructure("cannot \(purpose): \(answer.complaint)") }
        return answer.output
    }
}

/// What keeps bpftest from doing its work; never a test's result.
public enum HarnessError: Error, Sendable, CustomStringConvertible {
    /// What the user asked for makes no sense, or matches nothing: exit 2.
    case usage(String)
    /// Something here or in the network failed: exit 3.
    case infrastructure(String)
    /// The user said stop: exit 130.
    case cancelled

    public var description: String {
        switch self {
        case .usage(let text), .infrastructure(let text): text
        case .cancelled: "interrupted"
        }
    }
}
