// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import DriverSuites
internal import DynptrSuites
internal import ExploreSuites
internal import HelperSuites
internal import KfuncSuites
internal import KptrSuites
internal import MprogSuites
internal import NamespaceSuites

/// The built-in suites.
@main
struct Main {
    static func main() {
        AgentMain.run(
            mprogSuites + kfuncSuites + kptrSuites + dynptrSuites + namespaceSuites + helperSuites
                + driverSuites + explorationSuites)
    }
}
