// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// What must not leave this machine in an archive, and what stands for it: paths, and names in them.
///
/// Texts come from the guest, which knows little of the host: what it was given. Files are not searched: what is in a
/// user's kernel, object or program is the user's to give.
struct HostWords: Sendable {
    private var pairs: [(word: String, replacement: String)] = []

    /// Words without a slash say nothing of the host, and are in texts by chance.
    mutating func add(_ word: String, _ replacement: String) {
        let trimmed = word.hasSuffix("/") ? String(word.dropLast()) : word
        guard trimmed.count > 1, trimmed.contains("/") else { return }
        pairs.append((trimmed, replacement))
        // Longer ones first: a folder is part of its files' names.
        pairs.sort { ($0.word.utf8.count, $0.word) > ($1.word.utf8.count, $1.word) }
    }

    /// The folders that any process knows.
    static func ofProcess(environment: [String: String]) -> HostWords {
        var words = HostWords()
        words.add(FileManager.default.currentDirectoryPath, ".")
        for name in ["HOME", "TMPDIR", "BPFTEST_CACHE", "BPFTEST_STATE", "BPFTEST_GUEST_DIR", "XDG_CACHE_HOME"] {
            if let value = environment[name], value.hasPrefix("/"), value.count > 4 { words.add(value, name) }
        }
        return words
    }

    func hide(_ text: String) -> String {
        pairs.reduce(text) { text, pair in
            text.contains(pair.word) ? text.replacing(pair.word, with: pair.replacement) : text
        }
    }
}
