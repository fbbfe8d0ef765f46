// Package curator holds the tests of interoperation with Apache Curator: contenders
// of package election and contenders on Curator's LeaderLatch share one latch of a real
// ZooKeeper, as processes of their own that are told to leave, killed, paused, cut off
// from the network and robbed of their nodes; followers of the latch, who do not
// contend, must hear of each leader. It has no code of its own.
//
// What the contenders believe is judged against the server's transaction log
// (oracle_test.go), the true order of all that happened.
//
// The tests need Curator 5.4 and a Java compiler, on Debian the packages
// libcurator-recipes-java, libslf4j-java and default-jdk-headless, besides zookeeper.
package curator
