// SPDX-License-Identifier: Apache-2.0
public import AgentKit

/// The suites of docs/semantics/dynptr-iters.md §5.
public let helperSuites: [Suite] = [freezeSuite, kfuncSuite, argumentSuite]
