// SPDX-License-Identifier: Apache-2.0
public import AgentKit

/// The suites of docs/semantics/dynptr-iters.md.
public let dynptrSuites: [Suite] = [
    dynptrHelperSuite, dynptrMemorySuite, dynptrPacketSuite, iterNumSuite, iterKernelSuite,
    dynptrVerifierSuite, iterVerifierSuite,
]
