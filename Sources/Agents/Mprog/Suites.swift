// SPDX-License-Identifier: Apache-2.0
public import AgentKit

/// The suites of docs/semantics/mprog.md.
public let mprogSuites: [Suite] = [
    tcxSuite,
    netkitSuite,
    netkitDeviceSuite,
    flagSuite,
    querySuite,
    updateSuite,
    withoutTcxSuite,
    lifeSuite,
    deviceSuite,
    verdictSuite,
    callSuite,
    raceSuite,
    cgroupSuite,
    cgroupRaceSuite,
]

/// M-001 to M-101 on tcx.
let tcxSuite = Suite(
    "mprog.tcx", "bpf_mprog on tcx: attach, detach, replace, links and revisions", isolation: .network,
    prepare: { try Programs.load() }
) {
    ListTables.rows.cases(Flavour.tcx)
}

/// M-001 to M-097 on netkit.
let netkitSuite = Suite(
    "mprog.netkit", "bpf_mprog on netkit: attach, detach, replace, links and revisions", isolation: .network,
    prepare: { try Programs.load() }
) {
    ListTables.rows.cases(Flavour.netkit)
}

/// M-116 to M-124.
let flagSuite = Suite(
    "mprog.flags", "bpf_mprog: flags, types and devices that are taken and refused", isolation: .network,
    prepare: { try Programs.load() }
) {
    ListTables.flags.cases(Flavour.allCases)
}

/// M-126 to M-135.
let querySuite = Suite(
    "mprog.query", "bpf_mprog: what a query tells", isolation: .network, prepare: { try Programs.load() }
) {
    ListTables.query.cases(Flavour.allCases)
}

/// M-136 to M-143.
let updateSuite = Suite(
    "mprog.update", "bpf_mprog: what a link is updated to", isolation: .network, prepare: { try Programs.load() }
) {
    ListTables.updates.cases(Flavour.allCases)
}
