import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.retry.RetryForever;

/**
 * Two contenders with Curator's LeaderLatch, each with a session of its own, of which one
 * leads. For each line on standard input the leader closes its latch; the answer on
 * standard output is the time in nanoseconds from before the call of close() until
 * isLeader() of the other one's listener is called. By then the former leader has queued
 * again with a new latch.
 *
 * <p>Usage: Handover CONNECT LATCH SESSION-TIMEOUT-MS
 */
public final class Handover {
    private final CuratorFramework[] clients = new CuratorFramework[2];
    private final LeaderLatch[] latches = new LeaderLatch[2];
    private final BlockingQueue<Long> grants = new LinkedBlockingQueue<>();
    private final String path;

    private Handover(String path) {
        this.path = path;
    }

    public static void main(String[] args) throws Exception {
        Handover h = new Handover(args[1]);
        int timeout = Integer.parseInt(args[2]);
        for (int i = 0; i < h.clients.length; i++) {
            h.clients[i] = CuratorFrameworkFactory.builder()
                    .connectString(args[0])
                    .sessionTimeoutMs(timeout)
                    .connectionTimeoutMs(timeout)
                    .retryPolicy(new RetryForever(50))
                    .build();
            h.clients[i].start();
            h.contend(i);
            h.settle(i + 1);
        }
        h.grants.take();
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int leader = 0;
        while (in.readLine() != null) {
            System.out.println(h.handOver(leader));
            leader = 1 - leader;
        }
        for (CuratorFramework client : h.clients) {
            client.close();
        }
        System.exit(0);
    }

    private long handOver(int leader) throws Exception {
        long start = System.nanoTime();
        latches[leader].close();
        long took = grants.take() - start;
        contend(leader);
        settle(clients.length);
        return took;
    }

    private void contend(int i) throws Exception {
        latches[i] = new LeaderLatch(clients[i], path, "java-" + i);
        latches[i].addListener(new LeaderLatchListener() {
            @Override
            public void isLeader() {
                grants.add(System.nanoTime());
            }

            @Override
            public void notLeader() {
            }
        });
        latches[i].start();
    }

    /** Blocks until so many stand in line. */
    private void settle(int size) throws Exception {
        while (clients[0].checkExists().forPath(path) == null || clients[0].getChildren().forPath(path).size() != size) {
            Thread.sleep(1);
        }
    }
}
