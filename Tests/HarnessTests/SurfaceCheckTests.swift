// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Harness

@Suite struct SurfaceCheckTests {
    private func needs(_ change: (inout ObjectNeeds.Program) -> Void = { _ in }) -> ObjectNeeds {
        var program = ObjectNeeds.Program(
            name: "p", section: "syscall", type: 31, attachType: 0, helpers: [1], externals: [], relocations: [])
        change(&program)
        return ObjectNeeds(programs: [program], maps: [ObjectNeeds.Map(name: "m", type: 1)], structOps: [])
    }

    private func predict(_ needs: ObjectNeeds, _ kernel: MadeKernel = MadeKernel()) throws -> Prediction {
        let surface = try kernel.surface()
        return Predictor(needs, surface, names: Predictor.Names([surface.surface])).predict(needs.programs[0])
    }

    private func field(_ path: String..., of root: String = "task_struct", kind: UInt32 = 0) -> ObjectNeeds.Relocation {
        ObjectNeeds.Relocation(
            kind: kind, root: ObjectNeeds.Root(kind: 4, name: root, shape: "struct"),
            path: path.map { ObjectNeeds.Step(name: $0, index: 0, shape: "int") })
    }

    private func kfunc(
        _ name: String, weak: Bool = false, asked: Bool = false, shape: String = "(*struct)*struct"
    ) -> ObjectNeeds.External {
        ObjectNeeds.External(
            name: name, kind: .kfunc, weak: weak, called: true, asked: asked, shape: shape, signature: "its own")
    }

    // MARK: Predictions

    @Test func aProgramThatLacksNothingLoads() throws {
        #expect(try predict(needs()) == Prediction())
    }

    @Test func helpersAndTypesAreLookedUpByTheirNumbers() throws {
        let prediction = try predict(
            needs {
                $0.helpers = [1, 2]
                $0.type = 26
                $0.attachType = 99
            })
        #expect(
            prediction.lacks == [
                Lack(area: "attach type", name: "number 99"), Lack(area: "helper", name: "number 2"),
                Lack(area: "program type", name: "number 26"),
            ])
        #expect(prediction.loads == false)
    }

    @Test func numbersHaveTheNamesOfAnyKernelThatKnowsThem() throws {
        var newer = MadeKernel()
        newer.helpers.insert(("BPF_FUNC_new_one", 2), at: 2)
        let old = try MadeKernel().surface()
        let names = Predictor.Names([old.surface, try newer.surface().surface])
        let needs = needs { $0.helpers = [2] }
        #expect(
            Predictor(needs, old, names: names).predict(needs.programs[0]).lacks
                == [Lack(area: "helper", name: "bpf_new_one")])
    }

    @Test func instructionsThatTheKernelRefusesAreLacking() throws {
        let needs = needs { $0.instructions = [1, 9] }
        #expect(try predict(needs).lacks == [])
        var kernel = MadeKernel()
        kernel.instructions = [1: 22, 9: 0]
        #expect(
            try predict(needs, kernel).lacks
                == [Lack(area: "instruction", name: "atomic operations", change: "this kernel refuses it")])
    }

    @Test func mapsOfTheObjectCountForEveryProgram() throws {
        var kernel = MadeKernel()
        kernel.refusedMaps = [1]
        #expect(
            try predict(needs(), kernel).lacks
                == [Lack(area: "map type", name: "BPF_MAP_TYPE_HASH", change: "this kernel refuses it")])
        var needs = needs()
        needs.maps[0].type = 33
        #expect(try predict(needs).lacks == [Lack(area: "map type", name: "number 33")])
    }

    @Test func kfuncsAreComparedAsLibbpfAndTheVerifierDo() throws {
        var kernel = MadeKernel()
        kernel.kfunc("bpf_task_acquire", [("p", kernel.pointer)], returns: kernel.pointer, hook: 0)
        kernel.kfunc("bpf_for_xdp", [("p", kernel.pointer)], returns: kernel.pointer, hook: 1)
        _ = kernel.types.function("just_a_function", [("p", kernel.pointer)], returns: kernel.pointer)
        func lacks(_ external: ObjectNeeds.External) throws -> [Lack] {
            try predict(needs { $0.externals = [external] }, kernel).lacks
        }
        #expect(try lacks(kfunc("bpf_task_acquire")) == [])
        #expect(try lacks(kfunc("bpf_nowhere")) == [Lack(area: "kfunc", name: "bpf_nowhere")])
        #expect(
            try lacks(kfunc("bpf_task_acquire", shape: "(*struct,int)*struct")) == [
                Lack(
                    area: "kfunc", name: "bpf_task_acquire",
                    change: "its prototype is struct task_struct *(struct task_struct *), the object has its own")
            ])
        #expect(
            try lacks(kfunc("bpf_for_xdp")).map(\.change)
                == ["it is not for programs of this type; it is for: xdp"])
        #expect(
            try lacks(kfunc("just_a_function")).map(\.change) == ["it is a function of the kernel, and no kfunc"])
    }

    @Test func aWeakKfuncThatIsAskedForIsDoneWithout() throws {
        let unasked = try predict(needs { $0.externals = [kfunc("bpf_nowhere", weak: true)] })
        #expect(unasked.lacks == [Lack(area: "kfunc", name: "bpf_nowhere")])
        let prediction = try predict(needs { $0.externals = [kfunc("bpf_nowhere", weak: true, asked: true)] })
        #expect(prediction.lacks == [])
        #expect(prediction.without == [Lack(area: "kfunc", name: "bpf_nowhere")])
        #expect(prediction.loads == true)
    }

    @Test func symbolsOfOtherProgramsAreResolvedToo() throws {
        var needs = needs()
        needs.externals = [kfunc("bpf_nowhere"), kfunc("bpf_not_there_either", weak: true)]
        #expect(try predict(needs).lacks == [Lack(area: "kfunc", name: "bpf_nowhere")])
    }

    @Test func fieldsAndTypesAreLookedUpInTheKernelsTypes() throws {
        #expect(try predict(needs { $0.relocations = [field("pid")] }).lacks == [])
        #expect(
            try predict(needs { $0.relocations = [field("gone")] }).lacks
                == [Lack(area: "CO-RE field", name: "struct task_struct.gone")])
        #expect(
            try predict(needs { $0.relocations = [field("pid", of: "nothing")] }).lacks
                == [Lack(area: "BTF type", name: "struct nothing")])
        var other = field("pid")
        other.path[0].shape = "pointer"
        #expect(
            try predict(needs { $0.relocations = [other] }).lacks
                == [Lack(area: "CO-RE field", name: "struct task_struct.pid")])
    }

    @Test func aFieldInAMemberWithoutANameIsFound() throws {
        var kernel = MadeKernel()
        let inner = kernel.types.structure("", [("hidden", kernel.int)])
        _ = kernel.types.structure("outer", [("", inner)])
        #expect(try predict(needs { $0.relocations = [field("hidden", of: "outer")] }, kernel).lacks == [])
    }

    @Test func variantsOfATypeAreLookedUpByTheirCommonName() throws {
        var kernel = MadeKernel()
        _ = kernel.types.structure("thing___odd", [("a", kernel.int)])
        #expect(try predict(needs { $0.relocations = [field("a", of: "thing")] }, kernel).lacks == [])
    }

    @Test func whatAProgramAsksForFirstItDoesWithout() throws {
        let prediction = try predict(needs { $0.relocations = [field("gone"), field("gone", kind: 2)] })
        #expect(prediction.lacks == [])
        #expect(prediction.without == [Lack(area: "CO-RE field", name: "struct task_struct.gone")])
    }

    @Test func valuesOfEnumerationsAreLookedUpByName() throws {
        func value(_ name: String) -> ObjectNeeds.Relocation {
            ObjectNeeds.Relocation(
                kind: 11, root: ObjectNeeds.Root(kind: 6, name: "bpf_map_type", shape: "enum"),
                path: [ObjectNeeds.Step(name: name, index: 0, shape: "value")])
        }
        #expect(try predict(needs { $0.relocations = [value("BPF_MAP_TYPE_ARRAY")] }).lacks == [])
        #expect(
            try predict(needs { $0.relocations = [value("BPF_MAP_TYPE_ARENA")] }).lacks
                == [Lack(area: "enum value", name: "enum bpf_map_type.BPF_MAP_TYPE_ARENA")])
    }

    @Test func structuresOfOperationsNeedTheirKernelsOwn() throws {
        var kernel = MadeKernel()
        _ = kernel.types.structure("ops", [("init", kernel.pointer)])
        var needs = needs()
        needs.structOps = [ObjectNeeds.StructOps(map: "o", type: "ops", members: ["init", "exit"])]
        #expect(try predict(needs, kernel).lacks == [Lack(area: "struct_ops", name: "ops")])
        _ = kernel.types.structure("bpf_struct_ops_ops", [("common", kernel.int)])
        #expect(try predict(needs, kernel).lacks == [Lack(area: "CO-RE field", name: "struct ops.exit")])
    }

    @Test func aSectionThatLibbpfDoesNotKnowIsNotForetold() throws {
        let prediction = try predict(needs { $0.type = 0 })
        #expect(prediction.loads == nil)
        #expect(prediction.unknown?.contains("syscall") == true)
    }

    // MARK: What the agent says of an object

    @Test func theAgentsLineIsRead() throws {
        let line = """
            {"programs":[{"name":"p","section":"fentry/f","type":26,"attachType":24,"target":{"name":"f","kind":12},\
            "helpers":[1],"externals":[{"name":"k","kind":"kfunc","weak":true,"called":false,"asked":true,"shape":"()void",\
            "signature":"void (void)"}],"relocations":[{"kind":0,"root":{"kind":4,"name":"s","shape":"struct"},\
            "path":[{"name":"a","index":1,"shape":"int"},{"index":2,"shape":"int"}]}]}],"maps":[],"structOps":[]}
            """
        let needs = try ObjectNeeds.parse(line, from: "agent").get()
        #expect(needs.programs[0].relocations?[0].name == "struct s.a[2]")
        #expect(needs.programs[0].target == ObjectNeeds.Target(name: "f", kind: 12))
        let broken = try ObjectNeeds.parse(#"{"problem":{"cause":"it is empty","advice":"build it"}}"#, from: "agent")
        #expect(throws: ObjectFile.Problem(cause: "it is empty", advice: "build it")) { try broken.get() }
        #expect(throws: HarnessError.self) { _ = try ObjectNeeds.parse("nonsense", from: "agent") }
    }

    // MARK: What the kernel says

    private static func load(_ parts: (String, String, String)...) -> [UInt8] {
        parts.flatMap { MadeKernel.part($0.0, $0.1, Array($0.2.utf8)) }
    }

    private static let answered = load(
        ("load", "1", ""), ("object", "0", ""), ("program", "-", "good"), ("loaded", "-", ""), ("program", "-", "bad"),
        ("refused", "22", "unknown func\nbpf_x"), ("log", "-", "a log\u{1b}"), ("program", "-", "odd"),
        ("refused", "2", "no"), ("library", "-", "libbpf 1.1 cannot load it"))

    @Test func answersAreRead() {
        let answers = LoadAnswers(
            Self.answered + Self.load(("object", "1", ""), ("problem", "-", "broken"), ("end", "-", "")))
        #expect(answers.trouble == nil)
        #expect(answers.answers[0]?["good"] == CheckReport.Answer(outcome: .loaded))
        #expect(
            answers.answers[0]?["bad"]
                == CheckReport.Answer(outcome: .refused, errno: 22, reason: "unknown func bpf_x", log: "a log\u{fffd}"))
        #expect(answers.answers[0]?["odd"]?.outcome == .library)
        #expect(answers.problems == [1: "broken"])
    }

    @Test func whatCameBeforeAMachineWentDownIsKept() {
        let answers = LoadAnswers(Self.answered)
        #expect(answers.trouble?.contains("cut off") == true)
        #expect(answers.answers[0]?.count == 3)
        #expect(LoadAnswers([]).trouble != nil)
        let loose = Self.load(("load", "1", ""), ("loaded", "-", ""), ("end", "-", ""))
        #expect(LoadAnswers(loose).trouble == "loaded of no program")
    }

    // MARK: The report

    private func report(_ answers: [String: LoadAnswers], _ kernels: [(String, MadeKernel)]) throws -> CheckReport {
        let needs = needs { $0.helpers = [2] }
        let read = try kernels.map { ($0.0, try $0.1.surface($0.0)) }
        let names = Predictor.Names(read.map { $0.1.surface })
        return CheckReport(
            files: ["o.bpf.o", "x.o"],
            needs: [.success(needs), .failure(ObjectFile.Problem(cause: "it is empty", advice: "build it"))],
            kernels: read.map { name, surface in
                CheckReport.Kernel(
                    release: name,
                    predictions: [[Predictor(needs, surface, names: names).predict(needs.programs[0])], []],
                    answers: answers[name] ?? LoadAnswers([]))
            })
    }

    @Test func theReportNamesTheFirstAndTheLastKernelThatHasIt() throws {
        var newer = MadeKernel()
        newer.helpers.insert(("BPF_FUNC_new_one", 2), at: 2)
        let loaded = LoadAnswers(
            Self.load(
                ("load", "1", ""), ("object", "0", ""), ("program", "-", "p"), ("loaded", "-", ""), ("end", "-", "")))
        let refused = LoadAnswers(
            Self.load(
                ("load", "1", ""), ("object", "0", ""), ("program", "-", "p"), ("refused", "22", "invalid func"),
                ("end", "-", "")))
        let report = try report(
            ["1": refused, "2": loaded, "3": loaded, "4": loaded],
            [("1", MadeKernel()), ("2", newer), ("3", newer), ("4", MadeKernel()), ("5", newer)])
        let cells = report.objects[0].programs[0].cells
        #expect(
            cells[0].lacks
                == [CheckReport.Missing(area: "helper", name: "bpf_new_one", change: nil, first: "2", last: "5")])
        #expect(cells.map(\.prediction) == [.fails, .loads, .loads, .fails, .loads])
        #expect(cells.map(\.agrees) == [true, true, true, false, nil])
        #expect(report.objects[1].problem == "it is empty; build it")
        #expect(!report.allLoad)
        let text = CheckText.table(report)
        #expect(text.contains("1  refused EINVAL (22): invalid func\n"))
        #expect(text.contains("lacks helper bpf_new_one (first 2, last 5)\n"))
        #expect(text.contains("4  loads; it was expected to fail (DISAGREE)\n"))
        #expect(
            text.contains(
                "3 loaded, 1 refused, 1 without an answer of the kernel, 1 object of no use; 1 otherwise than expected\n"
            ))
    }
}
