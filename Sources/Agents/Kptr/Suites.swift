// SPDX-License-Identifier: Apache-2.0
public import AgentKit

/// The suites of docs/semantics/kptr.md.
public let kptrSuites: [Suite] = [mapSuite, fieldSuite, releaseSuite, localSuite, percpuSuite, raceSuite]
