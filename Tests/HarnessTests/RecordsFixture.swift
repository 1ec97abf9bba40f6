// SPDX-License-Identifier: Apache-2.0
import Foundation
import GRDB
import SystemPackage
import TAP
import Testing

@testable import Harness

/// Records in a temporary folder of their own.
final class RecordsFixture {
    let folder: String
    let file: RecordsFile
    private(set) var warnings: [String] = []

    static let kernel = "6.12.1-test"

    init() throws {
        folder = FilePath(NSTemporaryDirectory()).appending("bpftest-records-\(UUID().uuidString)").string
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        file = Self.file(in: folder)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: folder)
    }

    static func file(in folder: String) -> RecordsFile {
        var file = RecordsFile(environment: ["BPFTEST_STATE": folder])
        file.patience = .milliseconds(50)
        return file
    }

    static func result(
        _ name: String, _ outcome: Outcome = .passed, milliseconds: Int = 10, verdict: String? = nil,
        message: String? = nil, kernel: String = RecordsFixture.kernel
    ) -> CaseResult {
        var diagnostics = Diagnostics()
        diagnostics["message"] = message
        diagnostics["verdict"] = verdict
        let parts = name.split(separator: "/").map(String.init)
        return CaseResult(
            kernel: kernel, name: CaseID(suite: parts[0], id: parts[1]), title: name, outcome: outcome,
            diagnostics: diagnostics, duration: .milliseconds(milliseconds))
    }

    /// A run's sink.
    func records(
        _ description: RunDescription = .init(), file: RecordsFile? = nil, limits: RecordsWriter.Limits = .init()
    ) -> RunRecords {
        RunRecords(description, file: file ?? self.file, limits: limits) { self.warnings.append($0) }
    }

    /// A whole run on one kernel.
    func run(
        _ results: [CaseResult], kernel: String = RecordsFixture.kernel, description: RunDescription = .init(),
        file: RecordsFile? = nil, limits: RecordsWriter.Limits = .init()
    ) {
        let records = records(description, file: file, limits: limits)
        records.runStarted(RunPlan(), kernels: 1)
        records.kernelStarted(
            KernelIdentity(name: kernel), suites: 1, comments: ["accelerator: tcg, as there is no /dev/kvm"])
        var tally = Tally()
        for result in results {
            tally.count(result)
            records.caseFinished(result)
        }
        records.kernelFinished(kernel, tally: tally)
        records.runFinished(tally: tally)
    }

    func open() throws -> Records { try Records(file: file) }

    /// A connection past everything that is tested.
    func sql<Value>(_ body: (Database) throws -> Value) throws -> Value {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        return try DatabaseQueue(path: file.path.string, configuration: configuration).writeWithoutTransaction(body)
    }

    /// What lies in the folder, but for the logs that readers leave open.
    func names() throws -> [String] {
        try allNames().filter { !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") }
    }

    func allNames() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }
}
