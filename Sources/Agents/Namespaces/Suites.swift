// SPDX-License-Identifier: Apache-2.0
public import AgentKit

/// The suites of docs/semantics/namespaces.md.
public let namespaceSuites: [Suite] = [pidSuite, netSuite, cgroupSuite, userSuite, tokenSuite, lookupSuite]
