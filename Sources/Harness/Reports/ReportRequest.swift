// SPDX-License-Identifier: Apache-2.0

/// Results that are to be made into one report.
public struct ReportRequest: Sendable {
    /// What `--json` wrote; `-` is standard input.
    public var files: [String]
    /// They are shards of one plan.
    public var merges = false
    /// Go on without shards that are missing, and with runs that were killed.
    public var partial = false

    public init(_ files: [String]) {
        self.files = files
    }

    /// Reads all of them and puts them together.
    ///
    /// - Throws: `.usage`, with the file, the line and what to do.
    public func results() throws(HarnessError) -> RunResults {
        guard !files.isEmpty else { throw .usage("name the results: files that bpftest run --json FILE has written") }
        guard Set(files).count == files.count else {
            let twice = files.first { file in files.count { $0 == file } > 1 }
            throw .usage("\(twice ?? "a file") is named twice")
        }
        var inputs: [NamedResults] = []
        for file in files {
            inputs.append(NamedResults(file, try RunResults.read(file: file, unfinished: partial)))
        }
        do throws(ResultsError) {
            return merges ? try .merged(inputs, partial: partial) : try .combined(inputs)
        } catch {
            throw .usage("\(error)")
        }
    }
}
