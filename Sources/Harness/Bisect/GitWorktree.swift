// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import VMRunner

/// A work tree of our own of somebody's git repository: theirs, with all that lies in it, is not touched.
struct GitWorktree: Sendable {
    /// The user's work tree.
    let source: FilePath
    let path: FilePath

    /// A commit, as far as it is shown.
    struct Commit: Sendable, Equatable {
        var id: String
        var subject: String

        /// What it is called in the work tree, and its kernel by who builds it again.
        var short: String { String(id.prefix(12)) }

        var title: String { "\(short) \"\(subject)\"" }
    }

    /// Finds the repository that a folder is the top of.
    ///
    /// - Throws: `.usage` where there is none.
    init(of source: FilePath, at path: FilePath) async throws(HarnessError) {
        let answer = try await Tool.run(
            "git", ["-C", source.string, "rev-parse", "--show-toplevel"], package: "git")
        let top = answer.output.trimmingCharacters(in: .whitespacesAndNewlines)
        guard answer.succeeded, !top.isEmpty else {
            throw .usage("\(source) is in no git work tree: \(answer.complaint)")
        }
        self.source = FilePath(top)
        self.path = path
    }

    /// Makes it, or makes use of one that was kept.
    func make(at commit: String) async throws(HarnessError) {
        if FileManager.default.fileExists(atPath: path.appending(".git").string) {
            // Files that do not differ keep their times, and make its objects.
            let reset = try await git(["bisect", "reset", "HEAD"])
            let checkout = try await git(["checkout", "--quiet", "--force", "--detach", commit])
            if reset.succeeded, checkout.succeeded { return }
        }
        try await remove()
        _ = try await Tool.require(
            "git", ["-C", source.string, "worktree", "add", "--quiet", "--force", "--detach", path.string, commit],
            package: "git", to: "make a work tree of \(source)")
    }

    func remove() async throws(HarnessError) {
        if FileManager.default.fileExists(atPath: path.string) { try KernelStore.remove(path) }
        _ = try await Tool.require(
            "git", ["-C", source.string, "worktree", "prune"], package: "git",
            to: "forget the work tree \(path)")
    }

    /// A commit by any of its names.
    func commit(_ name: String) async throws(HarnessError) -> Commit {
        let answer = try await Tool.run(
            "git", ["-C", source.string, "log", "-1", "--format=%H %s", "\(name)^{commit}", "--"], package: "git")
        let line = answer.output.split(whereSeparator: \.isNewline).first ?? ""
        guard answer.succeeded, let space = line.firstIndex(of: " ") else {
            throw .usage("\(source) has no commit '\(name)': \(answer.complaint)")
        }
        return Commit(id: String(line[..<space]), subject: String(line[line.index(after: space)...]))
    }

    func isAncestor(_ older: Commit, of newer: Commit) async throws(HarnessError) -> Bool {
        try await Tool.run(
            "git", ["-C", source.string, "merge-base", "--is-ancestor", older.id, newer.id], package: "git"
        ).succeeded
    }

    /// Runs git in the work tree.
    func git(_ arguments: [String]) async throws(HarnessError) -> Tool.Answer {
        try await Tool.run("git", ["-C", path.string] + arguments, package: "git")
    }
}
