// SPDX-License-Identifier: Apache-2.0
internal import AgentKit

/// M-144 to M-149 and M-173 to M-176.
let lifeSuite = Suite(
    "mprog.life", "bpf_mprog: how long links and programs stay", isolation: .network, prepare: { try Programs.load() }
) {
    ListTables.life.cases(Flavour.allCases)
    ListTables.fullDetach.cases(Flavour.allCases)
}

/// M-150 to M-155.
let deviceSuite = Suite(
    "mprog.device", "tcx: devices that go and devices that move", isolation: .network, prepare: { try Programs.load() }
) {
    ListTables.devices.cases(Flavour.tcx)
}

/// M-156 to M-165.
let verdictSuite = Suite(
    "mprog.verdict", "tcx: what becomes of a packet, and clsact beside it", isolation: .network,
    objects: ["mprog/redirect.bpf.o"], prepare: { try Programs.load() }
) {
    ListTables.verdicts.cases(Flavour.tcx)
}

/// M-169 to M-172.
let callSuite = Suite(
    "mprog.call", "bpf_mprog: who may call, and with how long an attr", isolation: .network,
    prepare: { try Programs.load() }
) {
    ListTables.calls.cases(Flavour.allCases)
}
