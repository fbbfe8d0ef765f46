import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.leader.Participant;
import org.apache.curator.framework.state.SessionConnectionStateErrorPolicy;
import org.apache.curator.framework.state.StandardConnectionStateErrorPolicy;
import org.apache.curator.retry.RetryForever;
import org.apache.curator.utils.ZKPaths;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/**
 * A participant that contends with Curator's LeaderLatch, as its documentation shows. It
 * says on standard output what happens and obeys commands on standard input; the words of
 * both are in participant_test.go.
 *
 * <p>Usage: Contender CONNECT LATCH CLAIMS ID SESSION-TIMEOUT-MS [session]
 *
 * <p>With "session" it follows Curator's session policy, and its standard policy otherwise.
 */
public final class Contender {
    private final CuratorFramework client;
    private final String path;
    private final String claims;
    private final String id;
    /** Calls the listener, and nothing else does: its lines come in order. */
    private final ExecutorService listener = Executors.newSingleThreadExecutor();

    private LeaderLatch latch;

    private Contender(CuratorFramework client, String path, String claims, String id) {
        this.client = client;
        this.path = path;
        this.claims = claims;
        this.id = id;
    }

    public static void main(String[] args) throws Exception {
        int timeout = Integer.parseInt(args[4]);
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(args[0])
                .sessionTimeoutMs(timeout)
                .connectionTimeoutMs(timeout) // a longer one is warned of
                .retryPolicy(new RetryForever(50))
                .connectionStateErrorPolicy(args.length > 5 && args[5].equals("session")
                        ? new SessionConnectionStateErrorPolicy() : new StandardConnectionStateErrorPolicy())
                .build();
        client.getConnectionStateListenable().addListener((c, state) -> say("connection " + state));
        client.start();
        Contender contender = new Contender(client, args[1], args[2], args[3]);
        contender.contend();
        contender.obey();
    }

    /** Runs the commands until "exit"; at the end of input it dies as a crash would. */
    private void obey() throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            switch (line) {
                case "contend":
                    contend();
                    break;
                case "claim":
                    say(claim());
                    break;
                case "leading":
                    say(latch.hasLeadership() ? "yes" : "no");
                    break;
                case "participants":
                    say(participants());
                    break;
                case "close":
                    latch.close();
                    listener.submit(() -> { }).get();
                    say("closed");
                    break;
                case "exit":
                    client.close();
                    System.exit(0);
                    break;
                default:
                    throw new IllegalArgumentException(line);
            }
        }
        Runtime.getRuntime().halt(1);
    }

    private void contend() throws Exception {
        latch = new LeaderLatch(client, path, id, LeaderLatch.CloseMode.NOTIFY_LEADER);
        latch.addListener(new LeaderLatchListener() {
            @Override
            public void isLeader() {
                say("leader");
            }

            @Override
            public void notLeader() {
                say("notleader");
            }
        }, listener);
        latch.start();
    }

    /** Writes once, in the session of now, that the latch's node leads. */
    private String claim() {
        String node = latch.getOurPath();
        if (!latch.hasLeadership() || node == null) {
            return "refused: not leading";
        }
        try {
            ZooKeeper session = client.getZookeeperClient().getZooKeeper();
            session.create(claims + "/curator-", ZKPaths.getNodeFromPath(node).getBytes(StandardCharsets.UTF_8),
                    ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL);
            return "claimed";
        } catch (Exception e) {
            return "refused: " + e;
        }
    }

    private String participants() {
        try {
            StringBuilder line = new StringBuilder("participants");
            for (Participant p : latch.getParticipants()) {
                line.append(' ').append(p.getId()).append(p.isLeader() ? "*" : "");
            }
            return line.toString();
        } catch (Exception e) {
            return "refused: " + e;
        }
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
