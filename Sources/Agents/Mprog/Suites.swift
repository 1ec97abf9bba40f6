// SPDX-License-Identifier: Apache-2.0
public import AgentKit

/// The suites of docs/semantics/mprog.md.
public let mprogSuites: [Suite] = [tcxSuite]
