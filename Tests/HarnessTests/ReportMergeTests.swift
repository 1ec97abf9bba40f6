// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Harness

/// Shards of one plan, and runs on different kernels.
@Suite struct ReportMergeTests {
    private static let kernels = ["6.1.0-1", "7.2.0-2", "7.3.0-3"]
    private static let suites = ["a", "b", "c", "d"]

    private static func whole() -> RunResults {
        RunResults(
            plan: kernels.map { PlannedKernel(ReportFixture.identity($0), suites: suites) },
            kernels: kernels.map { kernel in
                KernelResults(
                    ReportFixture.identity(kernel), comments: ["accelerator: tcg"],
                    suites: suites.map { suite in
                        SuiteResults(
                            suite,
                            (1...3).map { number in
                                ReportFixture.result(
                                    kernel, suite, "\(number)", number == 3 ? .failed(.test) : .passed,
                                    number == 3 ? [("message", "m")] : [])
                            })
                    })
            }, started: Date(timeIntervalSince1970: 1_700_000_000), comments: ["order: --shuffle=7"])
    }

    /// The whole's units dealt out, as several machines would run them.
    private static func shards(_ count: Int, of whole: RunResults = whole()) -> [NamedResults] {
        (1...count).map { index in
            var shard = whole
            shard.shard = Shard(index: index, count: count)
            var number = 0
            for kernel in shard.kernels.indices {
                shard.kernels[kernel].suites.removeAll { _ in
                    number += 1
                    return number % count != index % count
                }
                shard.kernels[kernel].announced = shard.kernels[kernel].suites.count
            }
            shard.kernels.removeAll { $0.suites.isEmpty }
            shard.announced = shard.kernels.count
            return NamedResults("shard\(index)", shard)
        }
    }

    @Test(arguments: [1, 2, 3, 5, 12, 15]) func shardsGiveTheReportOfTheWhole(_ count: Int) throws {
        let shards = Self.shards(count)
        // Through the files that the machines hand in, and in any order.
        let read = try shards.reversed().map { shard in
            NamedResults(shard.name, try ReportFixture.read(try ReportFixture.lines(shard.results)))
        }
        let merged = try RunResults.merged(read)
        #expect(merged == Self.whole())
        for format in ReportFormat.allCases {
            #expect(try ReportFixture.text(merged, format) == ReportFixture.text(Self.whole(), format), "\(format)")
        }
    }

    @Test func aMissingShardIsNamedAndCanBeGoneWithout() throws {
        var shards = Self.shards(5)
        shards.remove(at: 3)
        shards.remove(at: 1)
        let error = #expect(throws: ResultsError.self) { try RunResults.merged(shards) }
        #expect(error?.message == "shards 2/5, 4/5 are missing; --partial reports what is there")
        let partial = try RunResults.merged(shards, partial: true)
        #expect(partial.incomplete == ["shards 2/5, 4/5 are missing"])
        for format in ReportFormat.allCases {
            #expect(try ReportFixture.text(partial, format).contains("shards 2/5, 4/5 are missing"), "\(format)")
        }
    }

    /// A plan of fifteen shards for twelve suites: `--plan json` leaves three of them out.
    @Test func aShardThatHadNothingToRunNeedNotBeThere() throws {
        let shards = Self.shards(15).filter { !$0.results.kernels.isEmpty }
        #expect(shards.count == 12)
        #expect(try RunResults.merged(shards) == Self.whole())
        // Of a kernel that did not boot it cannot be told.
        var broken = shards
        broken[0].results.kernels[0].suites = [SuiteResults("boot", [])]
        let error = #expect(throws: ResultsError.self) { try RunResults.merged(broken) }
        #expect(error?.message.contains("are missing; --partial") == true)
    }

    @Test func aShardThatIsThereTwiceIsNamed() {
        var shards = Self.shards(3)
        shards.append(NamedResults("again", shards[1].results))
        let error = #expect(throws: ResultsError.self) { try RunResults.merged(shards) }
        #expect(error?.message == "shard 2/3 is there twice: shard2 and again")
    }

    @Test func shardsOfDifferentPlansAreRefusedWithTheDifference() {
        func message(_ change: (inout RunResults) -> Void) -> String? {
            var shards = Self.shards(3)
            change(&shards[2].results)
            return #expect(throws: ResultsError.self) { try RunResults.merged(shards) }?.message
        }
        #expect(message { $0.plan[1].suites.append("e") }?.hasSuffix("on 7.x, only one has e") == true)
        #expect(
            message { $0.plan[1].suites.swapAt(0, 1) }?.hasSuffix("the order of the suites is not the same") == true)
        #expect(message { $0.plan[1].identity.name = "7.2.0-9" }?.contains("7.2.0-2 in one, and 7.2.0-9") == true)
        #expect(message { $0.plan[0].identity.spec = "5.10" }?.contains("kernel 6.x, and 5.10") == true)
        #expect(message { $0.plan.removeLast() }?.hasSuffix("3 kernels, and 2") == true)
        #expect(
            message { $0.shard = Shard(index: 3, count: 4) }?.contains("shard 1/3, and shard3 is shard 3/4") == true)
        #expect(message { $0.shard = nil }?.hasPrefix("shard3 is no shard of a plan") == true)
        #expect(message { $0.kernels[0].identity.spec = "9" }?.contains("which is not in its plan") == true)
        #expect(message { $0.kernels[0].identity.name = "6.1.0-9" }?.contains("these are different kernels") == true)
    }

    @Test func resultsThatTwoShardsHaveAreNamed() {
        var shards = Self.shards(3)
        shards[2].results.kernels[0].suites.append(shards[0].results.kernels[0].suites[0])
        let error = #expect(throws: ResultsError.self) { try RunResults.merged(shards) }
        #expect(error?.message == "both shard1 and shard3 have results of a on 6.1.0-1")
    }

    @Test func resultsThatNoShardHasAreNamed() throws {
        var shards = Self.shards(3)
        shards[2].results.kernels[0].suites.removeAll()
        let error = #expect(throws: ResultsError.self) { try RunResults.merged(shards) }
        #expect(error?.message.hasPrefix("there are no results of c on 6.1.0-1, although no shard is missing") == true)
        #expect(try RunResults.merged(shards, partial: true).incomplete == ["there are no results of c on 6.1.0-1"])
    }

    @Test func aKernelThatDidNotBootForAnyShardIsReportedOnce() throws {
        let failure = ReportFixture.result("6.1.0-1", "boot", "boot", .failed(.boot), [("message", "it hung")])
        func broken(_ results: RunResults) -> RunResults {
            var results = results
            results.kernels[0].suites = [SuiteResults("boot", [failure])]
            results.kernels[0].announced = 1
            return results
        }
        let shards = Self.shards(3).map { NamedResults($0.name, broken($0.results)) }
        #expect(try RunResults.merged(shards) == broken(Self.whole()))
    }

    /// What is found of the kernel itself, by each shard.
    @Test func whatEachShardFoundOfTheKernelIsReportedOnce() throws {
        func checked(_ results: RunResults) -> RunResults {
            var results = results
            for kernel in results.kernels.indices {
                let name = results.kernels[kernel].name
                let suite = SuiteResults("kernel", [ReportFixture.result(name, "kernel", "CONFIG_BPF")])
                results.kernels[kernel].suites.insert(suite, at: 0)
                results.kernels[kernel].announced += 1
            }
            return results
        }
        let shards = Self.shards(5).map { NamedResults($0.name, checked($0.results)) }
        #expect(try RunResults.merged(shards) == checked(Self.whole()))
    }

    @Test func aShardThatBailedOutMakesTheWholeBailOut() throws {
        var shards = Self.shards(2)
        let last = shards[0].results.kernels.count - 1
        shards[0].results.kernels[last].isFinished = false
        let suite = shards[0].results.kernels[last].suites.count - 1
        shards[0].results.kernels[last].suites[suite].isFinished = false
        shards[0].results.kernels[last].suites[suite].results.removeLast()
        shards[0].results.bailedOut = "QEMU is gone"
        let merged = try RunResults.merged(shards)
        #expect(merged.bailedOut == "shard 1/2: QEMU is gone")
        #expect(merged.exitCode == 3)
        // What was cut short must not look whole, and nesting must hold.
        let text = try ReportFixture.text(merged, .tap)
        #expect(
            text.contains("        1..3\n        ok 1 - 1 title of 1\n        ok 2 - 2 title of 2\n    not ok 3 - c\n"))
        #expect(text.contains("\nnot ok 3 - 7.3.0-3\n"))
        #expect(text.hasSuffix("Bail out! shard 1/2: QEMU is gone\n"))
    }

    @Test func runsOnDifferentKernelsStandSideBySide() throws {
        let whole = Self.whole()
        let runs = (0..<3).map { number in
            var run = whole
            run.plan = [whole.plan[number]]
            run.kernels = [whole.kernels[number]]
            run.announced = 1
            return NamedResults("run\(number)", run)
        }
        #expect(try RunResults.combined(runs) == whole)
        let error = #expect(throws: ResultsError.self) {
            try RunResults.combined(runs + [NamedResults("x", runs[1].results)])
        }
        #expect(error?.message == "both run1 and x have results of a on 7.2.0-2")
        // Another build of the same name is another kernel.
        var other = runs[1].results
        other.kernels[0].identity.spec = "~/linux"
        other.plan[0].identity.spec = "~/linux"
        #expect(try RunResults.combined(runs + [NamedResults("x", other)]).kernels.count == 4)
        let shard = #expect(throws: ResultsError.self) { try RunResults.combined(Self.shards(2)) }
        #expect(shard?.message == "shard1 is shard 1/2 of a plan: --merge puts shards together")
        var bad = runs
        bad[1].results.bailedOut = "no disk"
        #expect(try RunResults.combined(bad).bailedOut == "run1: no disk")
    }

    @Test func differentSuitesOfOneKernelAreJoined() throws {
        let whole = Self.whole()
        let runs = (0..<2).map { half in
            var run = whole
            for kernel in run.kernels.indices {
                run.kernels[kernel].suites = Array(run.kernels[kernel].suites[(half * 2)..<(half * 2 + 2)])
                run.plan[kernel].suites = run.kernels[kernel].suites.map(\.name)
            }
            return NamedResults("half\(half)", run)
        }
        #expect(try RunResults.combined(runs) == whole)
    }
}
