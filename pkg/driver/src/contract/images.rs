//! Behaviours of node images.

use skiff_report::{Diagnose, ExitCode, Silent};

use super::Trial;
use crate::{ImageInfo, NodeImages};

async fn images<D: NodeImages>(trial: &Trial<D>) -> Vec<ImageInfo> {
    let mut images = trial.driver.list_images().await.expect("images");
    assert!(images.is_sorted_by(|one, other| one.name <= other.name), "{images:?}");
    images.retain(|image| image.key == trial.image.key);
    images
}

/// An image is taken in once and lists with what is in it.
pub async fn import_of_an_image_may_be_repeated<D: NodeImages>(trial: &Trial<D>) {
    let before = images(trial).await;
    trial.driver.import_image(&trial.image, &Silent).await.expect("it is there already");
    let after = images(trial).await;
    assert_eq!((before.len(), &before), (1, &after));
    assert_eq!(after[0].labels, trial.image.labels);
    assert!(after[0].size > 0);
}

/// An image is not removed below a node.
pub async fn used_image_stays<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    trial.node(&cluster, false).await;
    let error = trial.driver.remove_image(&trial.image.key).await.expect_err("a conflict");
    assert_eq!(error.reason().exit, ExitCode::GUEST_CONFLICT);
    assert_eq!(images(trial).await.len(), 1);
}

/// A removed image is gone, and removing it again changes nothing.
pub async fn removed_image_is_gone<D: NodeImages>(trial: &Trial<D>) {
    for _ in 0..2 {
        trial.driver.remove_image(&trial.image.key).await.expect("removed");
        assert_eq!(images(trial).await, []);
    }
}
