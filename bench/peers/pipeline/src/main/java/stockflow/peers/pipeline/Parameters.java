package stockflow.peers.pipeline;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

/** The command line: {@code --key=value}, with stockflow's keys where both have the parameter. */
public final class Parameters {
  private final Map<String, String> values = new HashMap<>();

  public Parameters(String[] args) {
    for (String arg : args) {
      int split = arg.indexOf('=');
      if (!arg.startsWith("--") || split < 0) throw new IllegalArgumentException("Not --key=value: " + arg);
      values.put(arg.substring(2, split), arg.substring(split + 1));
    }
  }

  public String get(String key) {
    String value = values.get(key);
    if (value == null) throw new IllegalArgumentException("--" + key + " is missing");
    return value;
  }

  /** Empty if it is not there. */
  public String getOrEmpty(String key) {
    return values.getOrDefault(key, "");
  }

  public int getInt(String key) {
    return Integer.parseInt(get(key));
  }

  public long getLong(String key) {
    return Long.parseLong(get(key));
  }

  public double getDouble(String key) {
    return Double.parseDouble(get(key));
  }

  public boolean is(String key) {
    return Boolean.parseBoolean(get(key));
  }

  /** All whose key begins so, without that beginning. */
  public Properties withPrefix(String prefix) {
    Properties some = new Properties();
    values.forEach((key, value) -> {
      if (key.startsWith(prefix)) some.put(key.substring(prefix.length()), value);
    });
    return some;
  }
}
