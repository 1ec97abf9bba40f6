// SPDX-License-Identifier: Apache-2.0
internal import TAP

/// The forms that results are reported in.
public enum ReportFormat: String, Sendable, CaseIterable {
    case tap
    case ktap
    case junit
    /// One document; docs/results.schema.json.
    case json
    case markdown
    case html
    /// JSON lines, as `--json` writes them.
    case jsonl

    /// Writes all of a report.
    ///
    /// - Parameter write: gets it in pieces; what it throws comes out again.
    public func render(_ results: RunResults, to write: @escaping (String) throws -> Void) throws {
        switch self {
        case .tap: try replay(results, TAPReporter(dialect: .tap, write: write))
        case .ktap: try replay(results, TAPReporter(dialect: .ktap, write: write))
        case .junit: try JUnitReport(results: results, write: write).render()
        case .json: try JSONReport(results: results, write: write).render()
        case .markdown: try MarkdownReport(results: results, write: write).render()
        case .html: try HTMLReport(results: results, write: write).render()
        case .jsonl: try replay(results, JSONLinesReporter(write: write))
        }
    }

    private func replay(_ results: RunResults, _ sink: some ResultSink) throws {
        var sink = sink
        try results.replay(into: &sink)
    }
}
