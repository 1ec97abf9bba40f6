// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import Harness

@Suite struct SlurmBackendTests {
    private func backend(_ folder: FilePath, plan: String = "{}", shards: Int = 3) -> SlurmBackend {
        SlurmBackend(
            folder: folder, plan: plan, shards: shards, command: ["/opt/bpf test/bpftest", "matrix", "-t", "a'b"],
            options: [], note: { _ in })
    }

    private func folder() -> FilePath {
        FilePath(NSTemporaryDirectory()).appending("slurm-\(UUID().uuidString)")
    }

    @Test(arguments: [("17\n", "17"), ("17;cluster\n", "17"), ("", nil), ("sbatch: error", nil), (";x", nil)])
    func theJobIsRead(_ answer: String, _ job: String?) {
        #expect(SlurmBackend.job(answer) == job)
    }

    @Test func whatHasEndedOrLostItsNodeIsNotWaitedFor() {
        let text = """
            1 RUNNING
            2 PENDING
            3 NODE_FAIL
            4 COMPLETED
            5 FAILED
            6 COMPLETING
            N/A RUNNING
            7 CANCELLED
            8
            """
        #expect(SlurmBackend.tasks(text) == [1, 2, 6])
    }

    @Test func theScriptRunsItsShardAndQuotesItsWords() {
        let script = backend("/shared/a b").script()
        #expect(script.contains("'/opt/bpf test/bpftest' matrix -t 'a'\\''b' --shard \"$SLURM_ARRAY_TASK_ID/3\""))
        #expect(script.contains("mv '/shared/a b'/shard-$SLURM_ARRAY_TASK_ID.part-$SLURM_JOB_ID"))
    }

    @Test func aFolderBelongsToOnePlan() throws {
        let folder = folder()
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
        #expect(try backend(folder).load().jobs.isEmpty, "nothing there yet")
        let state = SlurmBackend.State(plan: "{}", shards: 3, jobs: ["17"], tries: [1: 2])
        try JSONEncoder().encode(state).write(to: URL(fileURLWithPath: folder.appending("state.json").string))
        #expect(try backend(folder).load() == state)
        for other in [backend(folder, plan: "[]"), backend(folder, shards: 4)] {
            do throws(HarnessError) {
                _ = try other.load()
                Issue.record("another plan's folder was taken")
            } catch {
                #expect("\(error)".contains("belongs to another plan"))
            }
        }
        try Data("{".utf8).write(to: URL(fileURLWithPath: folder.appending("state.json").string))
        do throws(HarnessError) {
            _ = try backend(folder).load()
            Issue.record("a damaged state was taken")
        } catch {
            #expect("\(error)".contains("is damaged"))
        }
    }
}
