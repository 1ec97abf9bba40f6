// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import KfuncSuites
internal import MprogSuites

/// The built-in suites.
@main
struct Main {
    static func main() {
        AgentMain.run([tcxSuite, taskSuite, fileSuite])
    }
}
