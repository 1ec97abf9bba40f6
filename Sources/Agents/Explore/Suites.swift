// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Exploration
internal import LinuxIO

/// What is explored: docs/explorer.md.
public let explorationSuites: [Suite] = [mprogExploration, kptrExploration]

/// Lists of programs, each against its model.
public let mprogExploration = Suite(
    "explore.mprog", "random calls on lists of programs, each compared with a model", isolation: .network
) {
    Case(
        "tcx", "tcx: thousands of random calls answer as the specification says",
        spec: ["M-008", "M-034", "M-050", "M-079", "M-136"], since: "6.6", needs: [.tcx]
    ) { try explore($0, TcxFlavour.self) }
    Case(
        "netkit", "netkit: thousands of random calls answer as the specification says",
        spec: ["M-102", "M-103", "M-104", "M-105"], since: "6.7", needs: [.netkit]
    ) { try explore($0, NetkitFlavour.self) }
    Case(
        "cgroup", "cgroups: thousands of random calls answer as the specification says",
        spec: ["M-182", "M-187", "M-195", "M-198", "M-224"], since: "6.17",
        needs: [.cgroup2, .cgroupOrdering]
    ) { test in
        let system = try CgroupSystem(
            try TracePrograms(.cgroup, count: MprogStep.programs, renewed: 6), test)
        try ExploreCase<CgroupSystem, CgroupSource, CgroupLetters>(
            subject: "mprog", target: "cgroup", system: system
        ).run(test)
    }
}

/// References in a map.
public let kptrExploration = Suite(
    "explore.kptr", "random calls on references in a map, each compared with a model", objects: ["explore/kptr.bpf.o"]
) {
    Case(
        "task", "references to tasks are where they were put, and counted, after thousands of random calls",
        spec: ["P-001"], since: "6.10",
        needs: [.kfunc("bpf_task_from_pid", since: "6.2"), .kfunc("bpf_rcu_read_lock", since: "6.2")]
    ) { test in
        try ExploreCase<KptrSystem, KptrSource, KptrLetters>(
            subject: "kptr", target: "task", system: try KptrSystem()
        ).run(test)
    }
}

private func explore<Flavour: MprogDevices>(_ test: Test, _ flavour: Flavour.Type) throws {
    let programs = try TracePrograms(.frames, count: MprogStep.programs, renewed: 6)
    let system = try MprogSystem<Flavour>(programs)
    try ExploreCase<MprogSystem<Flavour>, MprogSource<Flavour>, MprogLetters<Flavour>>(
        subject: "mprog", target: Flavour.target, system: system
    ).run(test)
}
