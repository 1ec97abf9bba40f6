// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import SystemPackage
import TAP
import Testing

@testable import Harness
@testable import VMRunner

@Suite struct PlanTests {
    private func plan(_ isolation: Isolation, seed: UInt64? = nil, kernels: Int = 1) -> Plan {
        Plan(seed: seed, isolation: isolation, kernels: kernels, cases: [["a", "b", "c"], ["d"]])
    }

    @Test func unitsAreWhatIsKeptApart() {
        #expect(plan(.none).units(round: 0).map { $0.parts.map(\.cases) } == [[["a", "b", "c"], ["d"]]])
        #expect(plan(.suite).units(round: 0).map { $0.parts.map(\.cases) } == [[["a", "b", "c"]], [["d"]]])
        #expect(
            plan(.case).units(round: 0).map { $0.parts.map(\.cases) } == [[["a"]], [["b"]], [["c"]], [["d"]]])
        #expect(plan(.suite, kernels: 2).units(round: 3).map(\.kernel) == [0, 0, 1, 1])
    }

    @Test func suitesShareAMachineWhileThereIsRoom() {
        let sizes = [3, 197, 1, 250, 100, 100, 1]
        var plan = plan(.batch)
        plan.cases = sizes.map { (0..<$0).map(String.init) }
        #expect(plan.units(round: 0).map { $0.parts.map(\.selection) } == [[0, 1], [2], [3], [4, 5], [6]])
        plan.machines = [1, 2, 1, 1, 1, 2, 2].map { MachineKind(cpus: $0) }
        #expect(plan.units(round: 0).map { $0.parts.map(\.selection) } == [[0, 2], [1], [3], [4], [5, 6]])
        plan.alone = sizes.indices.map { $0 == 4 ? Set((0..<98).map(String.init)) : [] }
        #expect(
            plan.units(round: 0).prefix(5).map { $0.parts.map(\.cases.count) } == [
                [3, 1], [197], [250], [2], [100, 1],
            ])
        #expect(plan.units(round: 0).count == 5 + 98)
    }

    @Test func machinesOfDifferentKindsAreDifferentMachines() {
        var plan = plan(.none)
        plan.cases.append(["e"])
        plan.machines = [1, 2, 1].map { MachineKind(cpus: $0) }
        let units = plan.units(round: 0)
        #expect(units.map { $0.parts.map(\.cases) } == [[["a", "b", "c"], ["e"]], [["d"]]])
        var carded = plan
        carded.machines[2].cards = [.igb]
        #expect(carded.units(round: 0).map { $0.parts.map(\.cases) } == [[["a", "b", "c"]], [["d"]], [["e"]]])
        #expect(carded.units(round: 0).map(\.machine.cards) == [[], [], [.igb]])
        #expect(units.map(\.machine.cpus) == [1, 2])
        plan.isolation = .case
        #expect(plan.units(round: 0).map(\.machine.cpus) == [1, 1, 1, 2, 1])
    }

    @Test func aCaseThatWantsAMachineForItselfGetsIt() {
        for (isolation, rest) in [(Isolation.none, [[["a", "c"], ["d"]]]), (.suite, [[["a", "c"]], [["d"]]])] {
            var plan = plan(isolation)
            plan.alone = [["b"], []]
            #expect(plan.units(round: 0).map { $0.parts.map(\.cases) } == rest + [[["b"]]])
        }
        var plan = plan(.case)
        plan.alone = [["b"], []]
        #expect(plan.units(round: 0).count == 4)
        plan.isolation = .suite
        plan.alone = [["a", "b", "c"], ["d"]]
        #expect(plan.units(round: 0).map { $0.parts.map(\.cases) } == [[["a"]], [["b"]], [["c"]], [["d"]]])
    }

    @Test func aSeedGivesTheSameOrderAgainAndLosesNothing() {
        let orders = (0..<50).map { (seed: UInt64) in
            self.plan(.suite, seed: seed).order(round: 0).map { "\($0.selection):\($0.cases.joined())" }
        }
        for (seed, order) in orders.enumerated() {
            let again = self.plan(.suite, seed: UInt64(seed)).order(round: 0)
            #expect(order == again.map { "\($0.selection):\($0.cases.joined())" })
            #expect(
                again.sorted { $0.selection < $1.selection }.map { $0.cases.sorted() } == [["a", "b", "c"], ["d"]])
        }
        #expect(Set(orders).count == 12, "6 orders of the cases and 2 of the suites: all of them are met")
        let plan = self.plan(.suite, seed: 5)
        #expect(Set((0..<20).map { plan.order(round: $0).map(\.cases) }).count > 1, "rounds differ")
    }
}

@Suite struct ScheduleTests {
    private let source = MachineSource.unused

    /// A schedule whose kernels are all there.
    private func schedule(_ plan: Plan, _ rounds: Schedule.Rounds, atOnce: Int = .max) -> Schedule {
        let schedule = Schedule(plan, rounds, atOnce: atOnce)
        for kernel in 0..<plan.kernels { schedule.arrived(kernel: kernel) }
        return schedule
    }

    private func units(_ schedule: Schedule) -> [WorkUnit] {
        var found: [WorkUnit] = []
        while let job = schedule.next() {
            switch job {
            case .makeSource(let kernel): schedule.made(source, kernel: kernel)
            case .run(let unit, _): found.append(unit)
            }
            _ = schedule.finished(job)
        }
        return found
    }

    @Test func theLongestComeFirstAndTheOthersInOrder() {
        let durations = ["a": 1, "b": 100, "c": 0, "d": 9]
        let plan = Plan(
            isolation: .case, kernels: 1, cases: [["a", "b", "c", "d"]],
            expected: { _, _, id in durations[id].map { .seconds($0) } })
        #expect(units(schedule(plan, .fixed(1))).map { $0.parts[0].cases[0] } == ["b", "d", "a", "c"])
    }

    @Test func aKernelThatDoesNotBootHasNoWork() {
        let schedule = self.schedule(Plan(isolation: .suite, kernels: 2, cases: [["a"]]), .fixed(2))
        var ran: [Int] = []
        while let job = schedule.next() {
            switch job {
            case .makeSource(let kernel): schedule.made(kernel == 0 ? nil : source, kernel: kernel)
            case .run(let unit, _): ran.append(unit.kernel)
            }
            _ = schedule.finished(job)
        }
        #expect(ran == [1, 1])
    }

    @Test func kernelsComeOneAfterAnotherAndNoMoreAtATimeThanAllowed() {
        let durations = ["a": 9, "b": 100]
        let plan = Plan(
            isolation: .case, kernels: 3, cases: [["a", "b"]],
            expected: { _, _, id in durations[id].map { .seconds($0) } })
        let schedule = self.schedule(plan, .fixed(1), atOnce: 1)
        var log: [String] = []
        while let job = schedule.next() {
            switch job {
            case .makeSource(let kernel):
                log.append("make \(kernel)")
                schedule.made(source, kernel: kernel)
            case .run(let unit, _): log.append("\(unit.kernel)\(unit.parts[0].cases[0])")
            }
            if let kernel = schedule.finished(job) { log.append("forget \(kernel)") }
        }
        #expect(
            log == [
                "make 0", "0b", "0a", "forget 0", "make 1", "1b", "1a", "forget 1", "make 2", "2b", "2a", "forget 2",
            ])
    }

    @Test func theNextKernelIsMadeWhileThePreviousOneStillHasWork() {
        let schedule = self.schedule(Plan(isolation: .case, kernels: 2, cases: [["a", "b"]]), .fixed(1), atOnce: 2)
        guard case .makeSource(0) = schedule.next(), case .makeSource(1) = schedule.next() else {
            Issue.record("both kernels are to be made first")
            return
        }
        schedule.made(source, kernel: 0)
        guard let job = schedule.next(), case .run(let unit, _) = job else {
            Issue.record("what is ready is run")
            return
        }
        #expect(unit.kernel == 0)
        #expect(schedule.finished(job) == nil, "it has another case")
    }

    @Test func aKernelThatIsOnItsWayIsWaitedForWhileOthersRun() async {
        let schedule = Schedule(Plan(isolation: .suite, kernels: 2, cases: [["a"]]), .fixed(1))
        schedule.arrived(kernel: 1)
        let source = source
        let ran = await Runner.onThread {
            var ran: [Int] = []
            while let job = schedule.next() {
                switch job {
                case .makeSource(let kernel): schedule.made(source, kernel: kernel)
                case .run(let unit, _):
                    ran.append(unit.kernel)
                    // Only now, while nothing else is left to do.
                    if unit.kernel == 1 { schedule.arrived(kernel: 0) }
                }
                _ = schedule.finished(job)
            }
            return ran
        }
        #expect(ran == [1, 0])
    }

    @Test func aKernelThatCannotBeHadIsNotWaitedFor() {
        let schedule = Schedule(Plan(isolation: .suite, kernels: 2, cases: [["a"]]), .fixed(1))
        schedule.arrived(kernel: 0)
        schedule.made(nil, kernel: 1)
        #expect(units(schedule).map(\.kernel) == [0])
    }

    @Test func timesAreAskedForWhenTheKernelIsThere() {
        let isThere = Monitor(false)
        let durations = ["a": 1, "b": 100, "c": 9]
        let plan = Plan(
            isolation: .case, kernels: 1, cases: [["a", "b", "c"]],
            expected: { _, _, id in isThere.change { $0 } ? durations[id].map { .seconds($0) } : nil })
        let schedule = Schedule(plan, .fixed(1))
        isThere.change { $0 = true }
        schedule.arrived(kernel: 0)
        #expect(units(schedule).map { $0.parts[0].cases[0] } == ["b", "c", "a"])
    }

    @Test func whatAKernelLeavesOutIsNotInItsOrder() {
        let plan = Plan(
            isolation: .suite, kernels: 2, cases: [["a", "b"], ["c"]],
            leavesOut: { kernel, selection, id in kernel == 0 && (id == "a" || selection == 1) })
        #expect(plan.order(kernel: 0, round: 0).map(\.cases) == [["b"]])
        #expect(plan.order(kernel: 1, round: 0).map(\.cases) == [["a", "b"], ["c"]])
        #expect(plan.units(round: 0).map(\.kernel) == [0, 1, 1])
    }

    @Test func urgentWorkGoesFirstAndKeepsTheScheduleOpen() {
        let schedule = self.schedule(Plan(isolation: .case, kernels: 1, cases: [["a", "b"]]), .fixed(1))
        var ran: [String] = []
        while let job = schedule.next() {
            switch job {
            case .makeSource(let kernel): schedule.made(source, kernel: kernel)
            case .run(let unit, _):
                let id = unit.parts[0].cases[0]
                ran.append(id)
                if id != "again" {
                    schedule.add(urgent: WorkUnit(kernel: 0, round: 0, parts: [.init(selection: 0, cases: ["again"])]))
                }
            }
            _ = schedule.finished(job)
        }
        #expect(ran == ["a", "again", "b", "again"])
    }

    @Test func roundsEndWithAFailureAtTheLimitAndAtTheDeadline() {
        let plan = Plan(isolation: .suite, kernels: 1, cases: [["a"]])
        #expect(units(schedule(plan, .untilFailure(limit: 4, deadline: nil))).map(\.round) == [0, 1, 2, 3])
        #expect(units(schedule(plan, .untilFailure(limit: nil, deadline: .now))).map(\.round) == [0])
        let schedule = self.schedule(plan, .untilFailure(limit: nil, deadline: nil))
        var rounds = 0
        while let job = schedule.next() {
            switch job {
            case .makeSource(let kernel): schedule.made(source, kernel: kernel)
            case .run:
                rounds += 1
                if rounds == 7 { schedule.sawFailure() }
            }
            _ = schedule.finished(job)
        }
        #expect(rounds == 7)
        #expect(schedule.roundsBegun == 7)
    }

    @Test func nothingIsHandedOutAfterAStop() {
        let schedule = self.schedule(Plan(isolation: .suite, kernels: 1, cases: [["a"]]), .fixed(1))
        schedule.stop()
        #expect(schedule.next() == nil)
    }

    /// Several threads get every unit once, and all of them come to an end.
    @Test func threadsShareTheWork() async {
        let cases = (0..<500).map { "\($0)" }
        let schedule = self.schedule(Plan(isolation: .case, kernels: 3, cases: [cases]), .fixed(1))
        let source = source
        let found = await withTaskGroup(of: [String].self) { group in
            for _ in 0..<8 {
                group.addTask {
                    await Runner.onThread {
                        var mine: [String] = []
                        while let job = schedule.next() {
                            switch job {
                            case .makeSource(let kernel): schedule.made(source, kernel: kernel)
                            case .run(let unit, _): mine.append("\(unit.kernel) \(unit.parts[0].cases[0])")
                            }
                            _ = schedule.finished(job)
                        }
                        return mine
                    }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(found.sorted() == (0..<3).flatMap { kernel in cases.map { "\(kernel) \($0)" } }.sorted())
    }
}

extension Schedule.Job: Equatable {
    static func == (left: Schedule.Job, right: Schedule.Job) -> Bool {
        switch (left, right) {
        case (.makeSource(let a), .makeSource(let b)): a == b
        case (.run(let a, _), .run(let b, _)): a.parts.map(\.cases) == b.parts.map(\.cases)
        default: false
        }
    }
}

extension MachineSource {
    /// A source for schedules, which hand it on and do not use it.
    static var unused: MachineSource {
        let work = try? WorkFolder(environment: ["TMPDIR": NSTemporaryDirectory()])
        let cancellation = try? Cancellation()
        guard let work, let cancellation else { fatalError("no work folder for a test") }
        return MachineSource(
            qemu: QEMU(path: "/nowhere", version: "10.0", hasSandbox: false), release: "", settings: MachineSettings(),
            boot: BootFiles(kernel: "", initramfs: ""), files: [], bootLimit: .zero, zygote: nil, work: work,
            cancellation: cancellation, reason: "", notes: [])
    }
}

@Suite struct VerdictTests {
    private func verdict(
        _ alone: (Int, Int), inOrder: (Int, Int)? = nil, before: [String] = []
    ) -> (Verdict.Kind, Diagnostics) {
        let verdict = Verdict(
            alone: Rerun(failed: alone.0, runs: alone.1), inOrder: inOrder.map { Rerun(failed: $0.0, runs: $0.1) },
            before: before)
        var result = CaseResult(
            kernel: "", name: CaseID(suite: "s", id: "c"), title: "", outcome: .failed(.test))
        verdict.explain(&result)
        return (verdict.kind, result.diagnostics)
    }

    @Test func whatFailsAloneIsAFailure() {
        let (kind, diagnostics) = verdict((1, 1), before: ["s/a"])
        #expect(kind == .failure)
        #expect(diagnostics["verdict"] == "failure: it fails alone in a pristine machine too")
        #expect(diagnostics["ran_before"] == nil)
    }

    @Test func whatPassesAloneAndFailsInOrderDependsOnIt() {
        let (kind, diagnostics) = verdict((0, 5), inOrder: (1, 1), before: ["s/a", "s/b"])
        #expect(kind == .orderDependent)
        #expect(
            diagnostics["verdict"]
                == "order-dependent: alone it passed 5 of 5 times, after the same cases it failed again")
        #expect(diagnostics["ran_before"] == "s/a s/b")
    }

    @Test func whatDiffersBetweenRunsIsFlakyWithItsRate() {
        #expect(verdict((2, 5)).1["verdict"] == "flaky: failed in 3 of 6 runs")
        #expect(verdict((0, 5)).0 == .flaky, "it was alone the first time too")
        #expect(verdict((0, 5), inOrder: (0, 1), before: ["s/a"]).1["verdict"] == "flaky: failed in 1 of 7 runs")
    }

    @Test func ofManyCasesBeforeTheLastAreNamed() {
        let names = (1...60).map { "s/\($0)" }
        let text = verdict((0, 1), inOrder: (1, 1), before: names).1["ran_before"] ?? ""
        #expect(text.hasPrefix("(10 more) s/11 "))
        #expect(text.hasSuffix(" s/60"))
    }

    @Test func roundsAreOneResult() {
        let passed = CaseResult(kernel: "", name: CaseID(suite: "s", id: "c"), title: "", outcome: .passed)
        var failed = passed
        failed.outcome = .failed(.test)
        #expect(Report.combined([passed, passed]) == passed)
        #expect(Report.combined([failed]) == failed)
        let mixed = Report.combined([passed, failed, passed])
        #expect(mixed.outcome == .failed(.test))
        #expect(mixed.diagnostics["verdict"] == "flaky: failed in 1 of 3 rounds")
        #expect(Report.combined([failed, failed]).diagnostics["rounds"] == "failed in all 2")
    }
}

@Suite struct MemoryUseTests {
    @Test func asManyMachinesAsProcessorsAndMemoryAllow() {
        let use = MemoryUse(folders: Folders(environment: ["BPFTEST_CACHE": "/nowhere"]))
        let settings = MachineSettings()
        // 384 MiB are guessed for a machine of 256 MiB, one zygote is kept, and a quarter left alone.
        let gibibyte = 1 << 20
        #expect(use.machines(settings, processors: 4, available: 64 * gibibyte) == 4)
        #expect(use.machines(settings, processors: 64, available: 4 * gibibyte) == 7)
        #expect(use.machines(settings, processors: 64, available: 0) == 1)
        var wide = settings
        wide.cpus = 3
        #expect(use.machines(wide, processors: 8, available: 64 * gibibyte) == 2)
    }
}

@Suite struct AcceleratorReasonTests {
    /// It is in the results of every run.
    @Test func whyThereIsNoKVMIsALine() {
        let message = "KVM internal error. Suberror: 1\nextra data[0]: 0x1\nRAX=0000000001ad29a0"
        let error = MachineError.qemuEnded(.exited(0), message: message, console: [])
        #expect(MachineFactory.accountForKVM(error) == "KVM internal error. Suberror: 1")
    }
}
