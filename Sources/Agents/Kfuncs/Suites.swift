// SPDX-License-Identifier: Apache-2.0
public import AgentKit

/// The suites of docs/semantics/kfuncs.md.
public let kfuncSuites: [Suite] = [
    taskSuite,
    fileSuite,
    xattrSuite,
    cgroupSuite,
    cpumaskSuite,
    taskRacesSuite,
    socketSuite,
    cryptoSuite,
    conntrackSuite,
    xfrmSuite,
    keySuite,
    ksockSuite,
    sectionSuite,
    rulesSuite,
    qdiscSuite,
]
